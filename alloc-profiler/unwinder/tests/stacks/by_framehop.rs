//! Stacks by framehop, which reads the unwind tables as well: the oracle of the tests, and the rival of the benchmark.

use std::ffi::c_void;
use std::ops::Range;
use std::{ptr, slice};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{
    CacheAarch64 as Cache, UnwindRegsAarch64 as UnwindRegisters, UnwinderAarch64 as TableUnwinder,
};
#[cfg(target_arch = "x86_64")]
use framehop::x86_64::{
    CacheX86_64 as Cache, UnwindRegsX86_64 as UnwindRegisters, UnwinderX86_64 as TableUnwinder,
};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder};

/// Holds the registers of one function.
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    instruction_pointer: u64,
    stack_pointer: u64,
    pub(crate) frame_pointer: u64,
    #[cfg(target_arch = "aarch64")]
    link: u64,
}

impl Registers {
    /// The registers of the function that this is inlined into.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn here() -> Registers {
        let (instruction_pointer, stack_pointer, frame_pointer);
        // SAFETY: it copies three registers, and touches no memory and no flags.
        unsafe {
            std::arch::asm!(
                "lea {}, [rip]",
                "mov {}, rsp",
                "mov {}, rbp",
                out(reg) instruction_pointer,
                out(reg) stack_pointer,
                out(reg) frame_pointer,
                options(nomem, nostack, preserves_flags),
            );
        }
        Registers { instruction_pointer, stack_pointer, frame_pointer }
    }

    /// The registers of the function that this is inlined into.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    pub(crate) fn here() -> Registers {
        let (instruction_pointer, stack_pointer, frame_pointer, link);
        // SAFETY: it copies four registers, and touches no memory and no flags.
        unsafe {
            std::arch::asm!(
                "adr {}, .",
                "mov {}, sp",
                "mov {}, x29",
                "mov {}, x30",
                out(reg) instruction_pointer,
                out(reg) stack_pointer,
                out(reg) frame_pointer,
                out(reg) link,
                options(nomem, nostack, preserves_flags),
            );
        }
        Registers { instruction_pointer, stack_pointer, frame_pointer, link }
    }

    /// As framehop has them.
    fn for_framehop(self) -> UnwindRegisters {
        #[cfg(target_arch = "x86_64")]
        return UnwindRegisters::new(self.instruction_pointer, self.stack_pointer, self.frame_pointer);
        #[cfg(target_arch = "aarch64")]
        return UnwindRegisters::new(self.link, self.stack_pointer, self.frame_pointer);
    }
}

/// Returns the word at `address` on a stack. What tables or frame pointers say of a stack is believed here.
pub(crate) fn word_at(address: u64) -> Option<u64> {
    let word = ptr::with_exposed_provenance::<u64>(address as usize);
    // SAFETY: if the tables are right, this is a word of a stack frame that is still there. If they are not, the test fails
    // by a fault.
    (!word.is_null() && word.is_aligned()).then(|| unsafe { word.read() })
}

/// framehop, and the images that are loaded.
pub(crate) struct Framehop {
    unwinder: TableUnwinder<&'static [u8]>,
    cache: Cache,
}

impl Framehop {
    pub(crate) fn new() -> Framehop {
        let mut framehop = Framehop { unwinder: TableUnwinder::new(), cache: Cache::new() };
        // SAFETY: the callback gets back the pointer that it expects.
        unsafe { libc::dl_iterate_phdr(Some(add_image), ptr::from_mut(&mut framehop.unwinder).cast()) };
        framehop
    }

    /// Calls `visit` with each return address from the caller of the function with these registers outwards, as far as
    /// framehop finds them, or until `visit` returns false.
    #[inline(always)]
    pub(crate) fn visit_callers(&mut self, of: Registers, mut visit: impl FnMut(usize) -> bool) {
        let registers = of.for_framehop();
        let mut read = |address| word_at(address).ok_or(());
        let mut frames =
            self.unwinder.iter_frames(of.instruction_pointer, registers, &mut self.cache, &mut read);
        // The first is where we are.
        let _ = frames.next();
        while let Ok(Some(frame)) = frames.next() {
            if !visit(frame.address() as usize) {
                break;
            }
        }
    }
}

/// The loader calls this for each image.
extern "C" fn add_image(info: *mut libc::dl_phdr_info, _: usize, unwinder: *mut c_void) -> i32 {
    // SAFETY: the first is the loader's, while it calls us; the second is what `Framehop::new` gave it.
    let (info, unwinder) = unsafe { (&*info, &mut *unwinder.cast::<TableUnwinder<&'static [u8]>>()) };
    // SAFETY: the loader says how many there are.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let range = |header: &libc::Elf64_Phdr| header.p_vaddr..header.p_vaddr + header.p_memsz;
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(range);
    let Some(index) = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).map(range) else {
        return 0;
    };
    let data = |range: &Range<u64>| {
        let start = ptr::with_exposed_provenance((info.dlpi_addr + range.start) as usize);
        // SAFETY: it is loaded, and nothing is unloaded here.
        unsafe { slice::from_raw_parts::<'static, u8>(start, (range.end - range.start) as usize) }
    };
    let index_bytes = data(&index);
    // Every linker writes it so: a distance of four bytes, with its sign, from where it stands.
    let Some(&[1, 0x1B, _, _, a, b, c, d]) = index_bytes.first_chunk() else { return 0 };
    let tables_start =
        index.start.wrapping_add(4).wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into());
    let tables_end = loaded().find(|range| range.contains(&tables_start)).expect("it is loaded").end;
    let tables = tables_start..tables_end;
    let sections = ExplicitModuleSectionInfo {
        eh_frame: Some(data(&tables)),
        eh_frame_svma: Some(tables),
        eh_frame_hdr: Some(index_bytes),
        eh_frame_hdr_svma: Some(index),
        ..ExplicitModuleSectionInfo::default()
    };
    let base = info.dlpi_addr;
    let start = loaded().map(|range| range.start).min().expect("it is loaded") + base;
    let end = loaded().map(|range| range.end).max().expect("it is loaded") + base;
    unwinder.add_module(Module::new(String::new(), start..end, base, sections));
    0
}
