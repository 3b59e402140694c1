//! The unwind tables of an object: `.eh_frame`, searched through `.eh_frame_hdr` and evaluated by gimli.
//!
//! Evaluation needs some KiB of stack, most of it for rules of registers, and no heap. What comes out is the rule for an address, in the usual form
//! that can be kept, or as it stands, to be evaluated for each frame.
//!
//! Path: *allocation path*, sampled allocations only, and of these only addresses without a kept rule.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, Error, FrameDescriptionEntry,
    NativeEndian, Operation, ParsedEhFrameHdr, Pointer, Register, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow, X86_64,
};

use super::loaded::LoadedImage;
use super::memory::StackMemory;
use super::registers::{FramePointer, Registers};
use super::rules::{Cfa, Rule};
use super::segments::Segments;

type Bytes = EndianSlice<'static, NativeEndian>;

/// Room for rules of `REGISTERS` registers, on the stack: each takes 200 bytes of it, for there are copies.
struct OnStack<const REGISTERS: usize>;

impl UnwindContextStorage<usize> for OnStack<FEW> {
    type Rules = [(Register, RegisterRule<usize>); FEW];
    type Stack = [UnwindTableRow<usize, Self>; 2];
}

impl UnwindContextStorage<usize> for OnStack<ALL> {
    type Rules = [(Register, RegisterRule<usize>); ALL];
    type Stack = [UnwindTableRow<usize, Self>; 2];
}

/// What functions save: six registers and the return address, by their calling convention.
const FEW: usize = 8;
/// What signals save: every register.
const ALL: usize = 20;

pub(super) struct Tables {
    header: ParsedEhFrameHdr<Bytes>,
    bases: BaseAddresses,
    segments: Segments,
}

/// Where entries are.
struct Section {
    frames: EhFrame<Bytes>,
    bases: BaseAddresses,
}

/// What the tables say about an address.
pub(super) enum Found {
    /// The usual form.
    Rule(Rule),
    /// Any other, such as a signal's frame.
    Unusual(Frame),
}

/// The rules of an unusual frame.
pub(super) struct Frame {
    /// Where its expressions are.
    frames: EhFrame<Bytes>,
    cfa: CfaRule<usize>,
    return_address: RegisterRule<usize>,
    stack_pointer: RegisterRule<usize>,
    frame_pointer: RegisterRule<usize>,
    /// It did not call what its caller is: it was interrupted.
    pub(super) is_signal: bool,
}

/// Whether an `.eh_frame_hdr` is as all linkers write it, and not longer than what is there: gimli multiplies the number
/// of its entries without looking how many they are.
fn is_usual(header: &[u8]) -> bool {
    /// Version 1; then encodings: relative to here, four bytes; four bytes; relative to the header, four bytes.
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

    /// Where the last function ends that begins before `address` and has an entry; 0 if there is none.
    pub(super) fn known_until(&self, address: usize) -> usize {
        let entry = self.entry_before(address as u64).ok();
        entry.and_then(|(entry, _)| usize::try_from(entry.end_address()).ok()).unwrap_or(0)
    }

    /// By itself, so that only one of the two takes its room.
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
            return_address: rule_of(X86_64::RA),
            stack_pointer: rule_of(X86_64::RSP),
            frame_pointer: rule_of(X86_64::RBP),
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
        // An index may point into several sections: what rewrites a program adds one and leaves the old one in place. So
        // the whole segment that the entry is in is taken for its section; entries lead back to others by distances.
        let entry = usize::try_from(entry).map_err(|_| none)?;
        let segment = self.segments.containing(entry).ok_or(none)?;
        let offset = EhFrameOffset(entry.wrapping_sub(segment.start));
        let frames = EhFrame::new(segment.bytes, NativeEndian);
        let bases = self.bases.clone().set_eh_frame(segment.start as u64);
        let entry = frames.fde_from_offset(&bases, offset, EhFrame::cie_from_offset)?;
        Ok((entry, Section { frames, bases }))
    }
}

impl Frame {
    /// The registers of its caller.
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
        Some(Registers {
            instruction_pointer: value(&self.return_address, None)?,
            // By convention the caller's stack pointer is the CFA.
            stack_pointer: value(&self.stack_pointer, Some(cfa))?,
            frame_pointer: match self.frame_pointer {
                RegisterRule::SameValue => registers.frame_pointer,
                ref rule => FramePointer::Value(value(rule, None)?),
            },
        })
    }

    /// The value of an expression: the few operations that compilers and C libraries use in unwind tables.
    /// (gimli's own evaluator wants the heap.)
    fn evaluate(
        &self,
        expression: &UnwindExpression<usize>,
        initial: Option<usize>,
        registers: &Registers,
        memory: &mut StackMemory,
    ) -> Option<usize> {
        let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
        let mut operations = expression.get(&self.frames).ok()?.operations(encoding);
        let mut stack = Values { values: [0; 4], depth: 0 };
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

    /// The same in the form that can be kept, if it is of that form.
    fn as_rule(&self) -> Option<Rule> {
        if self.is_signal || self.stack_pointer != RegisterRule::SameValue {
            return None;
        }
        match self.return_address {
            RegisterRule::Offset(-8) => {}
            RegisterRule::Undefined => return Some(Rule::Outermost),
            _ => return None,
        }
        let CfaRule::RegisterAndOffset { register, offset } = &self.cfa else { return None };
        let offset = i32::try_from(*offset).ok()?;
        let cfa = match *register {
            X86_64::RSP => Cfa::StackPointer(offset),
            X86_64::RBP => Cfa::FramePointer(offset),
            _ => return None,
        };
        let frame_pointer = match &self.frame_pointer {
            RegisterRule::SameValue | RegisterRule::Undefined => None,
            RegisterRule::Offset(offset) => Some(i16::try_from(*offset).ok()?),
            _ => return None,
        };
        Some(Rule::Frame { cfa, frame_pointer })
    }
}

struct Values {
    values: [usize; 4],
    depth: usize,
}

impl Values {
    fn push(&mut self, value: usize) -> Option<()> {
        *self.values.get_mut(self.depth)? = value;
        self.depth = self.depth.wrapping_add(1);
        Some(())
    }

    fn pop(&mut self) -> Option<usize> {
        self.depth = self.depth.checked_sub(1)?;
        self.values.get(self.depth).copied()
    }
}

/// An object that is `bytes` but for the first two, which say where in them its tables begin. What they say of
/// addresses in the object is evaluated on the stack that we are on.
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
    // SAFETY: of a local, and gone before it.
    let headers = unsafe { std::mem::transmute::<&[_], &'static [_]>(std::slice::from_ref(&header)) };
    let image = LoadedImage::of_segments(
        Segments::new(headers, start),
        start + usize::from(u16::from_le_bytes(begin)),
    );
    let Some(tables) = Tables::of(&image) else { return };
    for address in (0..64).map(|n| start.wrapping_add(n * image.len() / 64)) {
        if let Some(Found::Unusual(frame)) = tables.find(address) {
            let registers = Registers::here();
            let mut memory = StackMemory::of_thread(registers.stack_pointer);
            let _ = frame.caller(&registers, &mut memory);
        }
    }
}
