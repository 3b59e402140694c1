//! Some code has no unwind tables, as C compiled with `-fno-asynchronous-unwind-tables` and assembly. Its machine code
//! itself tells whether the caller's frame is where the frame pointer says.
//!
//! A frame pointer alone proves nothing. Without tables nobody tells whether a function keeps one, and if it does not, the
//! register leads to the frame of some caller further out, or anywhere. So it is believed only if all of this holds:
//!
//! - above the place where it points lies an address right after a call instruction, in code of an image;
//! - that call leads, by itself or through the slot that it names, to a function that begins by setting a frame pointer up;
//! - this function is the one that we are in: it begins before us in the same segment, with no function that has tables in
//!   between;
//! - no word between the stack pointer and the frame pointer looks like a return from a call to a function between that one
//!   and us: such a function would be the one that we are in, without a frame pointer and called by one that has one.
//!
//! Path: *allocation path* and *signal handlers*, and of these only addresses without a rule.

use super::loaded::{self, LoadedImage};
use super::memory::StackMemory;
use super::registers::Registers;
use super::segments::Segment;

/// What is longer than this is no function.
const MAX_FUNCTION_BYTES: usize = 1 << 20;
/// A frame that is larger than this is not looked through, and so not believed.
const MAX_FRAME_BYTES: usize = 64 << 10;
/// Within so many bytes, a function has set its frame pointer up, with what compilers put in between.
const MAX_PROLOGUE_BYTES: usize = 32;
const WORD_BYTES: usize = size_of::<usize>();

/// Whether the function that `address` is in keeps a frame pointer, and `registers` has it. The function is one of `loaded`
/// and has no tables. `known_until` is the end of the code before `address` that has tables.
pub(super) fn keeps_frame_pointer(
    loaded: &LoadedImage,
    address: usize,
    known_until: usize,
    registers: &Registers,
    memory: &mut StackMemory,
) -> bool {
    let Some(code) = code_at(loaded, address) else { return false };
    let is_copy = memory.is_copy();
    let called_function = |return_address| called_function(return_address, is_copy);
    let stack_pointer = registers.stack_pointer;
    let Some(frame_pointer) = registers.frame_pointer(memory) else { return false };
    let frame_bytes = frame_pointer.wrapping_sub(stack_pointer);
    if frame_bytes > MAX_FRAME_BYTES || !frame_bytes.is_multiple_of(WORD_BYTES) {
        return false;
    }
    let caller = memory.read(frame_pointer.wrapping_add(WORD_BYTES));
    // mutant: D5 any frame pointer is believed
    let Some(function) = caller.and_then(called_function) else { return false };
    let is_ours = function <= address
        && function >= known_until
        && address.wrapping_sub(function) < MAX_FUNCTION_BYTES
        && sets_up_frame_pointer(&code, function);
    is_ours
        && (0..frame_bytes / WORD_BYTES).all(|index| {
            let word = memory.read(stack_pointer.wrapping_add(index.wrapping_mul(WORD_BYTES)));
            word.is_some_and(|word| {
                // mutant: D5 callers are passed by
                !called_function(word).is_some_and(|called| called > function && called <= address)
            })
        })
}

/// The code segment that `address` is in.
fn code_at(loaded: &LoadedImage, address: usize) -> Option<Segment> {
    loaded.segments()?.containing(address).filter(|segment| segment.is_code)
}

/// The function that the call before `return_address` leads to, if there is one whose target is known. `is_copy`: that
/// address was read from a copy of another thread's stack.
fn called_function(return_address: usize, is_copy: bool) -> Option<usize> {
    // Most words on a stack are no addresses.
    if return_address < 1 << 16 || return_address >> 47 != 0 {
        return None;
    }
    let image = loaded::find(return_address.wrapping_sub(1))?;
    if is_copy && !image.is_permanent() {
        return None;
    }
    let code = code_at(&image, return_address.wrapping_sub(1))?;
    let instruction = |bytes: usize| code.bytes_from(return_address.wrapping_sub(bytes));
    let target =
        |distance: &[u8; 4]| return_address.wrapping_add_signed(i32::from_ne_bytes(*distance) as isize);
    // call rel32
    if let Some([0xE8, distance @ ..]) = instruction(5)?.first_chunk::<5>() {
        let distance = distance.first_chunk()?;
        let function = target(distance);
        return Some(behind_stub(&image, function).unwrap_or(function));
    }
    // call [rip + rel32]
    match instruction(6)?.first_chunk::<6>() {
        Some([0xFF, 0x15, distance @ ..]) => word_of(&image, target(distance.first_chunk()?)),
        _ => None,
    }
}

/// Where the function lies that a stub of an image jumps to. Functions of other images are called by stubs.
fn behind_stub(loaded: &LoadedImage, stub: usize) -> Option<usize> {
    let code = code_at(loaded, stub)?.bytes_from(stub)?;
    let without = |code: &'static [u8], prefix: &[u8]| code.strip_prefix(prefix).unwrap_or(code);
    // endbr64; bnd
    let jump = without(without(code, &[0xF3, 0x0F, 0x1E, 0xFA]), &[0xF2]);
    // jmp [rip + rel32]
    let [0xFF, 0x25, a, b, c, d, rest @ ..] = jump else { return None };
    let next = stub.wrapping_add(code.len().wrapping_sub(rest.len()));
    word_of(loaded, next.wrapping_add_signed(i32::from_ne_bytes([*a, *b, *c, *d]) as isize))
}

/// A word of an image's data, where the loader keeps the address of a function.
fn word_of(loaded: &LoadedImage, address: usize) -> Option<usize> {
    loaded.segments()?.containing(address)?.word_at(address)
}

/// How far above its stack pointer the frame pointer of a function points that begins at `function`, as its first instructions
/// say: they save the caller's frame pointer, set up their own, save other registers and make room. `None`: they do not, or
/// that depends on more than these instructions.
pub(super) fn frame_pointer_distance(loaded: &LoadedImage, function: usize) -> Option<usize> {
    let code = code_at(loaded, function)?;
    distance_of(code.bytes_from(function)?)
}

fn distance_of(code: &[u8]) -> Option<usize> {
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

/// Whether a function begins with `push rbp` and `mov rbp, rsp`, perhaps with some other instructions in between.
fn sets_up_frame_pointer(code: &Segment, function: usize) -> bool {
    const PUSH: u8 = 0x55;
    const MOVES: [[u8; 3]; 2] = [[0x48, 0x89, 0xE5], [0x48, 0x8B, 0xEC]];
    let Some(begin) = code.bytes_from(function) else { return false };
    let begin = begin.get(..MAX_PROLOGUE_BYTES).unwrap_or(begin);
    let Some(push) = begin.iter().position(|&byte| byte == PUSH) else { return false };
    let after = begin.get(push.wrapping_add(1)..).unwrap_or(&[]);
    after.windows(3).any(|window| MOVES.iter().any(|instruction| window == instruction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    /// The function that the call leads to by which `called` was called.
    #[inline(never)]
    fn called() -> Option<usize> {
        super::super::prepare();
        let mut room = crate::room();
        let walk = crate::capture(&mut room, crate::Remember::Nothing);
        let caller = walk.frames().last().copied();
        caller.and_then(|caller| called_function(caller.address(), false))
    }

    #[test]
    fn a_call_tells_which_function_it_leads_to() {
        assert_eq!(black_box(called()), Some(called as fn() -> Option<usize> as usize));
    }

    #[test]
    fn most_words_are_no_return_addresses() {
        super::super::prepare();
        let data = Box::new([0xE8_u8; 64]);
        for word in
            [0, 1, 1 << 16, 1 << 47, usize::MAX, data.as_ptr().addr() + 8, called as fn() -> _ as usize]
        {
            assert_eq!(called_function(word, false), None, "{word:#x}");
        }
    }

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
            let segment = Segment::of_bytes(Box::leak(code.into()));
            sets_up_frame_pointer(&segment, segment.start)
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
