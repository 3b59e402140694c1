//! Instructions of aarch64 that calls, stubs and functions begin with. Each is a word of four bytes.

use super::Target;
use crate::by_tables::processor::ReturnAddress;
use crate::by_tables::rules::{Cfa, Rule};

const INSTRUCTION_BYTES: usize = 4;
/// In instructions, this stands for the stack pointer.
const SP: u32 = 31;
const X29: u32 = 29;
const X30: u32 = 30;

fn first(code: &[u8]) -> Option<u32> {
    code.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The number that is in the lowest `bits` of `value`, with its sign.
fn signed(value: u32, bits: u32) -> isize {
    let shift = 32_u32.wrapping_sub(bits);
    (value.wrapping_shl(shift) as i32).wrapping_shr(shift) as isize
}

/// Returns what the call right before `return_address` leads to. `before` yields the code that begins so many bytes before that.
pub(super) fn call_before(
    return_address: usize,
    before: impl Fn(usize) -> Option<&'static [u8]>,
) -> Option<Target> {
    let call = return_address.wrapping_sub(INSTRUCTION_BYTES);
    let instruction = first(before(INSTRUCTION_BYTES)?).filter(|_| call.is_multiple_of(INSTRUCTION_BYTES))?;
    // bl
    let is_call = instruction >> 26 == 0b10_0101;
    is_call.then(|| Target::Function(call.wrapping_add_signed(signed(instruction, 26).wrapping_mul(4))))
}

/// The word that the stub at `stub` jumps through, if this code of it is that of a stub.
pub(super) fn slot_of_stub(code: &[u8], stub: usize) -> Option<usize> {
    const BTI_C: u32 = 0xD503_245F;
    let is_marked = first(code) == Some(BTI_C);
    let (code, stub) = match is_marked {
        true => (code.get(INSTRUCTION_BYTES..)?, stub.wrapping_add(INSTRUCTION_BYTES)),
        false => (code, stub),
    };
    let (address, load) = (first(code)?, first(code.get(INSTRUCTION_BYTES..)?)?);
    // adrp x16, page; ldr x17, [x16, offset]
    if address & 0x9F00_001F != 0x9000_0010 || load & 0xFFC0_03FF != 0xF940_0211 {
        return None;
    }
    let pages = signed((address >> 5 & 0x7_FFFF) << 2 | address >> 29 & 3, 21);
    let page = (stub & !0xFFF).wrapping_add_signed(pages.wrapping_mul(0x1000));
    Some(page.wrapping_add((load >> 10 & 0xFFF) as usize * 8))
}

/// Sleepers are walked over on x86-64 only.
pub(super) fn frame_pointer_distance(_code: &[u8]) -> Option<usize> {
    None
}

/// The rule of a function that begins by saving x29 and x30 beside each other, and having x29 point there, perhaps with some
/// other instructions in between.
pub(super) fn frame_pointer_rule(begin: &[u8]) -> Option<Rule> {
    const PACIASP: u32 = 0xD503_233F;
    const PACIBSP: u32 = 0xD503_237F;
    // How far below the CFA the stack pointer is, and where x29 and x30 were saved.
    let (mut below, mut saved, mut is_signed) = (0_isize, None, false);
    for bytes in begin.as_chunks::<4>().0 {
        let instruction = u32::from_le_bytes(*bytes);
        let is = |mask: u32, value: u32| instruction & mask == value;
        let pair_offset = signed(instruction >> 15, 7).wrapping_mul(8);
        let saves_frame = instruction & 0x1F == X29 && instruction >> 10 & 0x1F == X30;
        if instruction == PACIASP || instruction == PACIBSP {
            is_signed = true;
        } else if is(0xFF80_03FF, 0xD100_03FF) {
            // sub sp, sp, immediate
            let shift = if instruction >> 22 & 1 == 1 { 12 } else { 0 };
            below = below.wrapping_add(((instruction >> 10 & 0xFFF) as isize) << shift);
        } else if is(0xFFC0_0000 | SP << 5, 0xA980_0000 | SP << 5) {
            // The instruction is `stp` of two registers, [sp, offset]!
            below = below.wrapping_sub(pair_offset);
            saved = if saves_frame { Some(below) } else { saved };
        } else if is(0xFFC0_0000 | SP << 5, 0xA900_0000 | SP << 5) && saves_frame {
            // stp x29, x30, [sp, offset]
            saved = Some(below.wrapping_sub(pair_offset));
        } else if is(0xFFE0_0C00 | SP << 5, 0xF800_0C00 | SP << 5) {
            // The instruction is `str` of one register, [sp, offset]!
            below = below.wrapping_sub(signed(instruction >> 12, 9));
        } else if is(0xFFC0_03FF, 0x9100_03FD) {
            // add x29, sp, immediate, which is what `mov x29, sp` is too
            let to = below.wrapping_sub((instruction >> 10 & 0xFFF) as isize);
            return saved.filter(|&saved| saved == to).and_then(|saved| rule(saved, is_signed));
        }
    }
    None
}

/// The rule of a function that has saved x29 and x30 so many bytes below the CFA, and whose frame pointer points there.
fn rule(below: isize, is_signed: bool) -> Option<Rule> {
    let offset = below.checked_neg()?;
    Some(Rule::Frame {
        cfa: Cfa::FramePointer(i32::try_from(below).ok()?),
        return_address: ReturnAddress::at(offset.checked_add(8)? as i64, is_signed)?,
        frame_pointer: Some(i16::try_from(offset).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(instructions: &[u32]) -> Vec<u8> {
        instructions.iter().flat_map(|instruction| instruction.to_le_bytes()).collect()
    }

    #[test]
    fn a_call_names_its_function() {
        let to = |instruction: u32| {
            call_before(0x1_0004, |bytes| {
                assert_eq!(bytes, 4);
                Some(Vec::leak(code(&[instruction])))
            })
        };
        assert_eq!(to(0x9400_0002), Some(Target::Function(0x1_0008)));
        assert_eq!(to(0x97FF_FFFF), Some(Target::Function(0xFFFC)));
        assert_eq!([0xD63F_0100, 0x1400_0002].map(to), [None, None], "by a register; a jump");
    }

    #[test]
    fn a_stub_names_its_slot() {
        // adrp x16, 0x11000; ldr x17, [x16, 0xff8]; add x16, x16, 0xff8; br x17
        let stub = [0x9000_0090, 0xF947_FE11, 0x913F_E210, 0xD61F_0220];
        assert_eq!(slot_of_stub(&code(&stub), 0x1640), Some(0x1_1FF8));
        let marked = [&[0xD503_245F], &stub[..]].concat();
        assert_eq!(slot_of_stub(&code(&marked), 0x1640), Some(0x1_1FF8));
        assert_eq!(slot_of_stub(&code(&stub[1..]), 0x1640), None);
        assert_eq!(slot_of_stub(&[], 0x1640), None);
    }

    /// What GCC and LLVM begin functions with.
    #[test]
    fn a_function_shows_where_its_frame_is() {
        let of = |instructions: &[u32]| frame_pointer_rule(&code(instructions));
        // stp x29, x30, [sp, -64]!; mov x29, sp
        assert_eq!(of(&[0xA9BC_7BFD, 0x9100_03FD]), rule(64, false));
        // paciasp; stp x29, x30, [sp, -16]!; mov x29, sp
        assert_eq!(of(&[0xD503_233F, 0xA9BF_7BFD, 0x9100_03FD]), rule(16, true));
        // sub sp, sp, 64; stp x29, x30, [sp, 48]; add x29, sp, 48
        let usual = Some(Rule::FRAME_POINTER);
        assert_eq!(of(&[0xD101_03FF, 0xA903_7BFD, 0x9100_C3FD]), usual);
        // stp x29, x30, [sp, -32]!; str x19, [sp, 16]; mov x29, sp
        assert_eq!(of(&[0xA9BE_7BFD, 0xF900_0BF3, 0x9100_03FD]), rule(32, false));
        // str x19, [sp, -32]!; stp x29, x30, [sp, 16]; add x29, sp, 16
        assert_eq!(of(&[0xF81E_0FF3, 0xA901_7BFD, 0x9100_43FD]), usual);
        // sub sp, sp, 0x1000; stp x29, x30, [sp]; mov x29, sp
        assert_eq!(of(&[0xD140_07FF, 0xA900_7BFD, 0x9100_03FD]), rule(4096, false));
        assert_eq!(of(&[0xA9BC_7BFD, 0x9100_43FD]), None, "it points elsewhere");
        assert_eq!(of(&[0x9100_03FD, 0xA9BC_7BFD]), None, "in the wrong order");
        assert_eq!(of(&[0xA9BC_7BFD]), None);
    }
}
