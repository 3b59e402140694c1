//! Instructions of x86-64 that calls, stubs and functions begin with.

use super::{Target, WORD_BYTES};
use crate::by_tables::processor::ReturnAddress;
use crate::by_tables::rules::{Cfa, Rule};

/// Returns what the call right before `return_address` leads to. `before` yields the code that begins so many bytes before that.
pub(super) fn call_before(
    return_address: usize,
    before: impl Fn(usize) -> Option<&'static [u8]>,
) -> Option<Target> {
    let target =
        |distance: &[u8; 4]| return_address.wrapping_add_signed(i32::from_ne_bytes(*distance) as isize);
    // call rel32
    if let Some([0xE8, distance @ ..]) = before(5)?.first_chunk::<5>() {
        return Some(Target::Function(target(distance)));
    }
    // call [rip + rel32]
    match before(6)?.first_chunk::<6>() {
        Some([0xFF, 0x15, distance @ ..]) => Some(Target::Slot(target(distance))),
        _ => None,
    }
}

/// The word that the stub at `stub` jumps through, if this code of it is that of a stub.
pub(super) fn slot_of_stub(code: &[u8], stub: usize) -> Option<usize> {
    fn without<'a>(code: &'a [u8], prefix: &[u8]) -> &'a [u8] {
        code.strip_prefix(prefix).unwrap_or(code)
    }
    // endbr64; bnd
    let jump = without(without(code, &[0xF3, 0x0F, 0x1E, 0xFA]), &[0xF2]);
    // jmp [rip + rel32]
    let [0xFF, 0x25, a, b, c, d, rest @ ..] = jump else { return None };
    let next = stub.wrapping_add(code.len().wrapping_sub(rest.len()));
    Some(next.wrapping_add_signed(i32::from_ne_bytes([*a, *b, *c, *d]) as isize))
}

/// How far above its stack pointer the frame pointer of a function points that begins so.
pub(super) fn frame_pointer_distance(code: &[u8]) -> Option<usize> {
    // endbr64; push rbp; mov rbp, rsp
    let code = code.strip_prefix(&[0xF3, 0x0F, 0x1E, 0xFA]).unwrap_or(code);
    let code = code.strip_prefix(&[0x55])?;
    let set_up = [[0x48, 0x89, 0xE5], [0x48, 0x8B, 0xEC]];
    let mut code = set_up.iter().find_map(|instruction| code.strip_prefix(instruction))?;
    let mut bytes = 0_usize;
    loop {
        code = match code {
            // push, of one of the later registers or of one of the earlier ones
            [0x41, 0x50..=0x57, rest @ ..] | [0x50..=0x57, rest @ ..] => {
                bytes = bytes.wrapping_add(WORD_BYTES);
                rest
            }
            // and rsp: the distance depends on where the stack is.
            [0x48, 0x83 | 0x81, 0xE4, ..] => return None,
            // sub rsp
            [0x48, 0x83, 0xEC, by, ..] => return Some(bytes.wrapping_add(usize::from(*by))),
            [0x48, 0x81, 0xEC, a, b, c, d, rest @ ..] => {
                bytes = bytes.wrapping_add(u32::from_ne_bytes([*a, *b, *c, *d]) as usize);
                // Where a frame is larger than a page, each page is touched before the next one is taken.
                match rest {
                    [0x48, 0xC7, 0x04, 0x24, 0, 0, 0, 0, rest @ ..] => rest,
                    _ => return Some(bytes),
                }
            }
            _ => return Some(bytes),
        };
    }
}

/// The rule of a function that begins with `push rbp` and `mov rbp, rsp`, perhaps with some other instructions in between.
pub(super) fn frame_pointer_rule(begin: &[u8]) -> Option<Rule> {
    const PUSH: u8 = 0x55;
    const MOVES: [[u8; 3]; 2] = [[0x48, 0x89, 0xE5], [0x48, 0x8B, 0xEC]];
    let push = begin.iter().position(|&byte| byte == PUSH)?;
    let after = begin.get(push.wrapping_add(1)..).unwrap_or(&[]);
    let sets_up = after.windows(3).any(|window| MOVES.iter().any(|instruction| window == instruction));
    // The caller's is saved right below the return address, and the function's points there.
    sets_up.then_some(Rule::Frame {
        cfa: Cfa::FramePointer(16),
        return_address: ReturnAddress::BELOW_CFA,
        frame_pointer: Some(-16),
    })
}

#[cfg(test)]
mod tests {
    use super::super::MAX_PROLOGUE_BYTES;
    use super::*;
    use frame_pointer_distance as distance_of;

    #[test]
    fn the_first_instructions_tell_how_large_a_frame_is() {
        let setting_up = |rest: &[u8]| distance_of(&[&[0x55, 0x48, 0x89, 0xE5][..], rest].concat());
        assert_eq!(setting_up(&[0xC3]), Some(0));
        assert_eq!(setting_up(&[0x41, 0x57, 0x53, 0x50, 0xE8]), Some(24));
        assert_eq!(setting_up(&[0x53, 0x48, 0x83, 0xEC, 0x28, 0x53]), Some(48));
        assert_eq!(setting_up(&[0x48, 0x81, 0xEC, 0x08, 0x01, 0, 0, 0x53]), Some(264));
        let touched = [0x48, 0x81, 0xEC, 0, 0x10, 0, 0, 0x48, 0xC7, 0x04, 0x24, 0, 0, 0, 0];
        assert_eq!(setting_up(&[&touched[..], &[0x48, 0x83, 0xEC, 0x10]].concat()), Some(4112));
        assert_eq!(
            setting_up(&[0x53, 0x48, 0x83, 0xE4, 0xE0, 0x48, 0x83, 0xEC, 0x20]),
            None,
            "it is aligned"
        );
        assert_eq!(distance_of(&[0xF3, 0x0F, 0x1E, 0xFA, 0x55, 0x48, 0x8B, 0xEC, 0xC3]), Some(0));
        assert_eq!([&[0x53, 0xC3][..], &[]].map(distance_of), [None, None], "there is no frame pointer");
    }

    #[test]
    fn a_function_shows_that_it_sets_a_frame_pointer_up() {
        let sets_up = |code: &[u8]| {
            let begin = code.get(..MAX_PROLOGUE_BYTES).unwrap_or(code);
            frame_pointer_rule(begin) == Some(Rule::FRAME_POINTER)
        };
        assert!(sets_up(&[0x55, 0x48, 0x89, 0xE5, 0xC3]));
        assert!(
            sets_up(&[0xF3, 0x0F, 0x1E, 0xFA, 0x55, 0x48, 0x8B, 0xEC]),
            "endbr64, and the other encoding"
        );
        assert!(sets_up(&[0x55, 0x41, 0x57, 0x48, 0x89, 0xE5]), "another push in between");
        assert!(!sets_up(&[0x48, 0x89, 0xE5, 0x55]), "in the wrong order");
        assert!(!sets_up(&[0x48, 0x83, 0xEC, 0x08, 0xC3]));
        let mut late = vec![0x90; MAX_PROLOGUE_BYTES];
        late.extend([0x55, 0x48, 0x89, 0xE5]);
        assert!(!sets_up(&late));
    }
}
