//! Two more ways to find a call chain, to hold ours against: framehop's, by the unwind tables as well, and the frame
//! pointers', by no table at all.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{LazyLock, Mutex};
use std::{ptr, slice};

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder};
use unwinder::{CodeAddress, MAX_STACK_DEPTH};

/// One for all threads, of which some have little stack.
static FRAMEHOP: LazyLock<Mutex<Framehop>> = LazyLock::new(|| Mutex::new(Framehop::new()));

/// Set where all of the program is built with frame pointers.
const HAS_FRAME_POINTERS: bool = option_env!("STACKS_HAVE_FRAME_POINTERS").is_some();

/// Compares the chain that our unwinder found in the function with these registers.
pub(super) fn compare(what: &str, frames: &[CodeAddress], registers: Registers) {
    let ours: Vec<usize> = frames.iter().map(|frame| frame.address()).collect();
    // Theirs begin at the caller, ours in the function itself, or in what it called.
    let outer = |callers: &[usize]| {
        let from = ours.iter().position(|address| callers.first() == Some(address)).unwrap_or(0);
        assert!(from <= 2, "{what}: {callers:x?} of {ours:x?}");
        &ours[from..]
    };
    // framehop 0.16 does not know the kernel's frame below a signal handler's: it goes on by whatever the frame pointer
    // was in what was interrupted.
    let interrupted = frames.iter().position(|frame| !frame.is_return_address());
    let kernel = interrupted.map(|at| ours[at - 1]);
    let framehops = FRAMEHOP.lock().expect("no panic").callers(registers, kernel);
    let expected = outer(&framehops);
    let is_whole = kernel.is_none() && ours.len() < MAX_STACK_DEPTH;
    let expected = if kernel.is_some() { &expected[..framehops.len()] } else { expected };
    assert!(
        !framehops.is_empty()
            && framehops.starts_with(expected)
            && (!is_whole || framehops.len() == expected.len()),
        "{what}\nours:       {expected:x?}\nframehop's: {framehops:x?}"
    );
    if HAS_FRAME_POINTERS {
        let callers = callers_by_frame_pointers(registers);
        let expected = outer(&callers);
        let of_the_program = expected.iter().take_while(|address| is_of_the_program(**address)).count();
        assert!(
            of_the_program > 0 && callers.starts_with(&expected[..of_the_program]),
            "{what}\nours:           {expected:x?}\nframe pointers': {callers:x?}"
        );
    }
}

/// Registers of a function.
#[derive(Clone, Copy)]
pub(super) struct Registers {
    instruction_pointer: u64,
    stack_pointer: u64,
    frame_pointer: u64,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let (instruction_pointer, stack_pointer, frame_pointer);
        // SAFETY: copies three registers; touches no memory and no flags.
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
}

/// The word at `address`, of a stack: what tables or frame pointers say of one is taken at its word here.
fn word_at(address: u64) -> Option<u64> {
    let word = ptr::with_exposed_provenance::<u64>(address as usize);
    // SAFETY: if the tables are right, a word of a stack frame that is still there. If they are not, this test fails
    // by a fault.
    (!word.is_null() && word.is_aligned()).then(|| unsafe { word.read() })
}

/// framehop, and what is loaded.
struct Framehop {
    unwinder: UnwinderX86_64<&'static [u8]>,
    cache: CacheX86_64,
}

impl Framehop {
    fn new() -> Framehop {
        let mut framehop = Framehop { unwinder: UnwinderX86_64::new(), cache: CacheX86_64::new() };
        // SAFETY: the callback gets back the pointer that it expects.
        unsafe { libc::dl_iterate_phdr(Some(add_object), ptr::from_mut(&mut framehop.unwinder).cast()) };
        framehop
    }

    /// Return addresses from the caller of the function with these registers outwards, as far as framehop finds them, or
    /// to `last`.
    fn callers(&mut self, of: Registers, last: Option<usize>) -> Vec<usize> {
        let registers = UnwindRegsX86_64::new(of.instruction_pointer, of.stack_pointer, of.frame_pointer);
        let mut read = |address| word_at(address).ok_or(());
        let mut frames =
            self.unwinder.iter_frames(of.instruction_pointer, registers, &mut self.cache, &mut read);
        // The first is where we are.
        let _ = frames.next();
        let mut callers = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            callers.push(frame.address() as usize);
            if callers.last().copied() == last {
                break;
            }
        }
        callers
    }
}

/// Called by the loader for each object.
extern "C" fn add_object(info: *mut libc::dl_phdr_info, _: usize, unwinder: *mut c_void) -> i32 {
    // SAFETY: the loader's, while it calls us; and what `Framehop::new` gave it.
    let (info, unwinder) = unsafe { (&*info, &mut *unwinder.cast::<UnwinderX86_64<&'static [u8]>>()) };
    // SAFETY: the loader says how many there are.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let range = |header: &libc::Elf64_Phdr| header.p_vaddr..header.p_vaddr + header.p_memsz;
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(range);
    let Some(index) = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).map(range) else {
        return 0;
    };
    let data = |range: &Range<u64>| {
        let start = ptr::with_exposed_provenance((info.dlpi_addr + range.start) as usize);
        // SAFETY: loaded, and nothing is unloaded here.
        unsafe { slice::from_raw_parts::<'static, u8>(start, (range.end - range.start) as usize) }
    };
    let index_bytes = data(&index);
    // As every linker writes it: a distance of four bytes, with its sign, from where it stands.
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

/// Return addresses from the caller of the function with these registers outwards, by its frame pointer, the one saved
/// there, and so on, as long as each is further out and the address is in the program.
fn callers_by_frame_pointers(of: Registers) -> Vec<usize> {
    let frames =
        std::iter::successors(Some(of.frame_pointer), |frame| word_at(*frame).filter(|next| next > frame));
    let addresses = frames.map_while(|frame| word_at(frame + 8)).map(|address| address as usize);
    addresses.take_while(|address| is_of_the_program(*address)).collect()
}

/// Whether code at `address` is the program's, not of a library, which may be built without frame pointers.
fn is_of_the_program(address: usize) -> bool {
    let base = |address: usize| {
        // SAFETY: a struct of integers and pointers, for which zero is a value.
        let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: any address may be asked for; the C library writes what it finds to the struct.
        let is_found = unsafe { libc::dladdr(ptr::with_exposed_provenance(address), &mut found) } != 0;
        is_found.then(|| found.dli_fbase.addr())
    };
    base(address).is_some_and(|of| Some(of) == base(is_of_the_program as fn(usize) -> bool as usize))
}
