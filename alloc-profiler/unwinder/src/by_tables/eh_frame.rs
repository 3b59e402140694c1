//! Here the unwind tables of an image are read: `.eh_frame` is searched through `.eh_frame_hdr`, and gimli evaluates it.
//!
//! Evaluation needs some KiB of stack, most of it for rules of registers, and no heap. What comes out is the rule for an
//! address: in the usual form, which can be kept, or as it stands, to be evaluated for each frame.
//!
//! Path: *allocation path* and *signal handlers*, and of these only addresses without a kept rule.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, Error, FrameDescriptionEntry,
    NativeEndian, Operation, ParsedEhFrameHdr, Pointer, Register, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow,
};

use super::loaded::LoadedImage;
use super::memory::StackMemory;
use super::processor::{self, ALL, FEW, Link, ReturnAddress};
use super::registers::{FramePointer, Registers};
use super::rules::{Cfa, Rule};
use super::segments::Segments;
use super::values::Values;

type Bytes = EndianSlice<'static, NativeEndian>;

/// Reserves room on the stack for the rules of `REGISTERS` registers. Each takes 200 bytes of it, because there are
/// copies.
struct OnStack<const REGISTERS: usize>;

impl UnwindContextStorage<usize> for OnStack<FEW> {
    type Rules = [(Register, RegisterRule<usize>); FEW];
    type Stack = [UnwindTableRow<usize, Self>; 2];
}

impl UnwindContextStorage<usize> for OnStack<ALL> {
    type Rules = [(Register, RegisterRule<usize>); ALL];
    type Stack = [UnwindTableRow<usize, Self>; 2];
}

pub(super) struct Tables {
    header: ParsedEhFrameHdr<Bytes>,
    bases: BaseAddresses,
    segments: Segments,
}

/// What the entries of tables are in.
struct Section {
    frames: EhFrame<Bytes>,
    bases: BaseAddresses,
}

/// What the tables say about an address.
pub(super) enum Found {
    /// The rule has the usual form.
    Rule(Rule),
    /// Rules of any other form, such as a signal's frame has.
    Unusual(Frame),
}

/// Holds the rules of an unusual frame.
pub(super) struct Frame {
    /// What its expressions are in.
    frames: EhFrame<Bytes>,
    cfa: CfaRule<usize>,
    return_address: RegisterRule<usize>,
    stack_pointer: RegisterRule<usize>,
    frame_pointer: RegisterRule<usize>,
    /// The return address carries a signature.
    is_signed: bool,
    /// The function of its caller did not call anything: it was interrupted.
    pub(super) is_signal: bool,
}

/// Whether an `.eh_frame_hdr` is as all linkers write it, and not longer than what is there. gimli multiplies the number of
/// its entries without a look at how large that is.
fn is_usual(header: &[u8]) -> bool {
    /// Version 1, and then three encodings: of `.eh_frame`, relative to where it stands, in four bytes; of the number of
    /// entries, in four bytes; and of the entries, relative to the header, in four bytes.
    const LINKERS: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
    const ENTRY_BYTES: usize = 8;
    let Some((head, table)) = header.split_first_chunk::<12>() else { return false };
    let [version, frames_encoding, count_encoding, table_encoding, _, _, _, _, count @ ..] = *head;
    let count = u32::from_ne_bytes(count) as usize;
    [version, frames_encoding, count_encoding, table_encoding] == LINKERS
        && count <= table.len() / ENTRY_BYTES
}

impl Tables {
    pub(super) fn of(loaded: &LoadedImage) -> Option<Tables> {
        let header_start = loaded.eh_frame_header;
        let segments = loaded.segments()?;
        let header_bytes = segments.containing(header_start)?.bytes_from(header_start)?;
        if !is_usual(header_bytes) {
            return None;
        }
        let bases = BaseAddresses::default().set_eh_frame_hdr(header_start as u64);
        let header = EhFrameHdr::new(header_bytes, NativeEndian).parse(&bases, 8).ok()?;
        Some(Tables { header, bases, segments })
    }

    pub(super) fn find(&self, address: usize) -> Option<Found> {
        match self.find_with::<OnStack<FEW>>(address) {
            Err(Error::TooManyRegisterRules) => self.find_with::<OnStack<ALL>>(address).ok(),
            found => found.ok(),
        }
    }

    /// Where the last function ends that begins before `address` and has an entry, or the first function if none begins before;
    /// 0 if there is no function at all.
    pub(super) fn known_until(&self, address: usize) -> usize {
        let entry = self.entry_before(address as u64).ok();
        entry.and_then(|(entry, _)| usize::try_from(entry.end_address()).ok()).unwrap_or(0)
    }

    /// Where the function begins that `address` is in, or the part of it. `None`: tables say nothing of that address.
    pub(super) fn start_of_function(&self, address: usize) -> Option<usize> {
        let (entry, _) = self.entry_before(address as u64).ok()?;
        entry.contains(address as u64).then(|| usize::try_from(entry.initial_address()).ok())?
    }

    /// As [`find`](Self::find), in a function of its own, so that only one of the two sizes of room is on the stack.
    #[inline(never)]
    fn find_with<Room: UnwindContextStorage<usize>>(&self, address: usize) -> Result<Found, Error> {
        let address = address as u64;
        let (entry, section) = self.entry_before(address)?;
        if !entry.contains(address) {
            return Err(Error::NoUnwindInfoForAddress);
        }
        let Section { frames, bases } = section;
        let mut context: UnwindContext<usize, Room> = UnwindContext::new_in();
        let row = entry.unwind_info_for_address(&frames, &bases, &mut context, address)?;
        let rule_of = |register| row.register(register).unwrap_or(RegisterRule::SameValue);
        let frame = Frame {
            frames,
            cfa: row.cfa().clone(),
            return_address: rule_of(entry.cie().return_address_register()),
            stack_pointer: rule_of(processor::STACK_POINTER),
            frame_pointer: rule_of(processor::FRAME_POINTER),
            is_signed: processor::is_signed(rule_of),
            is_signal: entry.is_signal_trampoline(),
        };
        Ok(match frame.as_rule() {
            Some(rule) => Found::Rule(rule),
            None => Found::Unusual(frame),
        })
    }

    /// The entry of the last function that begins at or before `address`, and the section that it is in.
    fn entry_before(&self, address: u64) -> Result<(FrameDescriptionEntry<Bytes>, Section), Error> {
        let none = Error::NoUnwindInfoForAddress;
        let table = self.header.table().ok_or(none)?;
        let Pointer::Direct(entry) = table.lookup(address, &self.bases)? else { return Err(none) };
        // An index may point into several sections: a tool that rewrites a program adds one and leaves the old one in place.
        // So the whole segment that the entry is in is taken for its section. Entries lead back to others by distances.
        let entry = usize::try_from(entry).map_err(|_| none)?;
        let segment = self.segments.containing(entry).ok_or(none)?;
        let offset = EhFrameOffset(entry.wrapping_sub(segment.start));
        let mut frames = EhFrame::new(segment.bytes_from(segment.start).ok_or(none)?, NativeEndian);
        frames.set_vendor(processor::VENDOR);
        let bases = self.bases.clone().set_eh_frame(segment.start as u64);
        let entry = frames.fde_from_offset(&bases, offset, EhFrame::cie_from_offset)?;
        Ok((entry, Section { frames, bases }))
    }
}

impl Frame {
    /// Returns the registers of its caller.
    pub(super) fn caller(&self, registers: &Registers, memory: &mut StackMemory) -> Option<Registers> {
        let cfa = match &self.cfa {
            CfaRule::RegisterAndOffset { register, offset } => {
                registers.get(register.0, memory)?.wrapping_add_signed(*offset as isize)
            }
            CfaRule::Expression(expression) => self.evaluate(expression, None, registers, memory)?,
        };
        // The caller's value of a register; `same` is what it is if it was not saved.
        let mut value = |rule: &RegisterRule<usize>, same: Option<usize>| match rule {
            RegisterRule::SameValue => same,
            RegisterRule::Offset(offset) => memory.read(cfa.wrapping_add_signed(*offset as isize)),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(*offset as isize)),
            RegisterRule::Register(other) => registers.get(other.0, memory),
            RegisterRule::Expression(expression) => {
                let address = self.evaluate(expression, Some(cfa), registers, memory)?;
                memory.read(address)
            }
            RegisterRule::ValExpression(expression) => {
                self.evaluate(expression, Some(cfa), registers, memory)
            }
            _ => None,
        };
        // A leaf may leave its return address in a register.
        let return_address = value(&self.return_address, registers.link.value())?;
        Some(Registers {
            instruction_pointer: match self.is_signed {
                true => processor::without_signature(return_address),
                false => return_address,
            },
            // By convention the caller's stack pointer is the CFA.
            stack_pointer: value(&self.stack_pointer, Some(cfa))?,
            frame_pointer: match self.frame_pointer {
                RegisterRule::SameValue => registers.frame_pointer,
                ref rule => FramePointer::Value(value(rule, None)?),
            },
            link: Link::UNKNOWN,
        })
    }

    /// The value of an expression of the few operations that compilers and C libraries use in unwind tables. (gimli's own
    /// evaluator needs the heap.)
    fn evaluate(
        &self,
        expression: &UnwindExpression<usize>,
        initial: Option<usize>,
        registers: &Registers,
        memory: &mut StackMemory,
    ) -> Option<usize> {
        let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
        let mut operations = expression.get(&self.frames).ok()?.operations(encoding);
        let mut stack = Values::NONE;
        if let Some(initial) = initial {
            stack.push(initial)?;
        }
        while let Some(operation) = operations.next().ok()? {
            let value = match operation {
                Operation::RegisterOffset { register, offset, .. } => {
                    registers.get(register.0, memory)?.wrapping_add_signed(offset as isize)
                }
                Operation::Deref { size: 8, .. } => memory.read(stack.pop()?)?,
                Operation::PlusConstant { value } => stack.pop()?.wrapping_add(value as usize),
                Operation::UnsignedConstant { value } => value as usize,
                Operation::SignedConstant { value } => value as usize,
                Operation::Plus | Operation::And | Operation::Shl | Operation::Ge => {
                    let (second, first) = (stack.pop()?, stack.pop()?);
                    match operation {
                        Operation::Plus => first.wrapping_add(second),
                        Operation::And => first & second,
                        Operation::Shl => first.checked_shl(u32::try_from(second).ok()?)?,
                        _ => usize::from((first as isize) >= (second as isize)),
                    }
                }
                Operation::Nop => continue,
                _ => return None,
            };
            stack.push(value)?;
        }
        stack.pop()
    }

    /// These rules in the form that can be kept, if they are of that form.
    fn as_rule(&self) -> Option<Rule> {
        if self.is_signal || self.stack_pointer != RegisterRule::SameValue {
            return None;
        }
        let return_address = match self.return_address {
            RegisterRule::Offset(offset) => ReturnAddress::at(offset, self.is_signed)?,
            RegisterRule::Undefined => return Some(Rule::Outermost),
            _ => return None,
        };
        let CfaRule::RegisterAndOffset { register, offset } = &self.cfa else { return None };
        let offset = i32::try_from(*offset).ok()?;
        let cfa = match *register {
            processor::STACK_POINTER => Cfa::StackPointer(offset),
            processor::FRAME_POINTER => Cfa::FramePointer(offset),
            _ => return None,
        };
        let frame_pointer = match &self.frame_pointer {
            RegisterRule::SameValue | RegisterRule::Undefined => None,
            RegisterRule::Offset(offset) => Some(i16::try_from(*offset).ok()?),
            _ => return None,
        };
        Some(Rule::Frame { cfa, return_address, frame_pointer })
    }
}

/// Takes `bytes` for an image, except for the first two, which say where in the image its tables begin. What the tables say
/// about addresses in the image is evaluated on the stack that we are on.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let Some((&begin, image)) = bytes.split_first_chunk() else { return };
    let start = image.as_ptr().expose_provenance();
    let header = libc::Elf64_Phdr {
        p_type: libc::PT_LOAD,
        p_flags: libc::PF_R,
        p_offset: 0,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: image.len() as u64,
        p_memsz: image.len() as u64,
        p_align: 1,
    };
    // SAFETY: the reference is to a local variable, and gone before that.
    let headers = unsafe { std::mem::transmute::<&[_], &'static [_]>(std::slice::from_ref(&header)) };
    let loaded = LoadedImage::of_segments(
        Segments::new(headers, start),
        start + usize::from(u16::from_le_bytes(begin)),
    );
    let Some(tables) = Tables::of(&loaded) else { return };
    for address in (0..64).map(|n| start.wrapping_add(n * image.len() / 64)) {
        if let Some(Found::Unusual(frame)) = tables.find(address) {
            let registers = Registers::here();
            let mut memory = StackMemory::of_thread(registers.stack_pointer);
            let _ = frame.caller(&registers, &mut memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_tables::loaded;

    fn of_own_image() -> Tables {
        assert!(loaded::prepare());
        Tables::of(&loaded::find(of_own_image as fn() -> Tables as usize).unwrap()).unwrap()
    }

    #[test]
    fn a_function_has_a_rule() {
        let tables = of_own_image();
        let function = of_own_image as fn() -> Tables as usize;
        // Before its first instruction, only its return address is on the stack, or not even that.
        match tables.find(function) {
            Some(Found::Rule(rule)) => assert_eq!(rule, Rule::frame(Cfa::StackPointer(8), None)),
            Some(Found::Unusual(frame)) => assert_eq!(frame.return_address, RegisterRule::SameValue),
            None => panic!("no rule"),
        }
        assert!(tables.known_until(function) > function);
    }

    #[test]
    fn what_is_no_code_has_no_rule() {
        let tables = of_own_image();
        for address in [0, 1 << 47, usize::MAX, (&raw const tables).addr()] {
            assert!(tables.find(address).is_none(), "{address:#x}");
        }
    }

    /// The frame below a signal handler's is of an unusual form: it has every register.
    // What a handler returns to has no tables elsewhere: `signal_frame` knows it by its instructions.
    #[cfg(all(not(musl), target_arch = "x86_64"))]
    #[test]
    fn a_signal_s_frame_is_unusual() {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static RETURNS_TO: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn handler(_: libc::c_int) {
            let mut room = crate::room();
            let walk = crate::capture(&mut room, crate::Remember::Nothing);
            let instruction = walk.frames().iter().rposition(|frame| !frame.is_return_address());
            let kernel = instruction.and_then(|index| walk.frames().get(index + 1));
            RETURNS_TO.store(kernel.map_or(0, |frame| frame.lookup()), Relaxed);
        }
        crate::prepare();
        crate::prepare_thread();
        // SAFETY: the handler may run where the signal is raised, right here.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            libc::sigaction(libc::SIGWINCH, &action, std::ptr::null_mut());
            libc::raise(libc::SIGWINCH);
        }
        let address = RETURNS_TO.load(Relaxed);
        // A return address leads one byte before the function, which is how tables know it.
        let tables = Tables::of(&loaded::find(address).unwrap()).unwrap();
        assert!(matches!(tables.find(address), Some(Found::Unusual(frame)) if frame.is_signal));
    }

    #[test]
    fn a_header_is_as_linkers_write_it_or_none() {
        let header = |encodings: [u8; 4], count: u32, entries: usize| {
            let mut bytes = encodings.to_vec();
            bytes.extend([0; 4]);
            bytes.extend(count.to_ne_bytes());
            bytes.resize(12 + 8 * entries, 0);
            is_usual(&bytes)
        };
        let linkers = [1, 0x1b, 0x03, 0x3b];
        assert!(header(linkers, 2, 2) && header(linkers, 1, 2) && header(linkers, 0, 0));
        assert!(!header(linkers, 3, 2) && !header(linkers, u32::MAX, 2), "more entries than there are");
        assert!(!header([2, 0x1b, 0x03, 0x3b], 2, 2) && !header([1, 0x1b, 0xff, 0x3b], 2, 2));
        assert!(!is_usual(&linkers));
    }
}
