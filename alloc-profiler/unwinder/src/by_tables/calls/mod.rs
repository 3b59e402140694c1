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
//!   and us: such a function would be the one that we are in, without a frame pointer and called by one that has one. The same
//!   holds for the register that a leaf leaves its return address in, where there is one.
//!
//! What the instructions of a processor look like is in a file for each.
//!
//! Path: *allocation path* and *signal handlers*, and of these only addresses without a rule.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use super::loaded::{self, LoadedImage};
use super::memory::StackMemory;
use super::processor;
use super::registers::Registers;
use super::rules::Rule;
use super::segments::Segment;
#[cfg(target_arch = "aarch64")]
use aarch64 as instructions;
#[cfg(target_arch = "x86_64")]
use x86_64 as instructions;

/// What is longer than this is no function.
const MAX_FUNCTION_BYTES: usize = 1 << 20;
/// A frame that is larger than this is not looked through, and so not believed.
const MAX_FRAME_BYTES: usize = 64 << 10;
/// Within so many bytes, a function has set its frame pointer up, with what compilers put in between.
const MAX_PROLOGUE_BYTES: usize = 32;
const WORD_BYTES: usize = size_of::<usize>();

/// What a call or a jump leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// It is the function at this address.
    Function(usize),
    /// It is the function whose address is kept in this word.
    #[cfg_attr(target_arch = "aarch64", expect(dead_code, reason = "no call there names one"))]
    Slot(usize),
}

/// The rule of the function that `address` is in, if that keeps a frame pointer, and `registers` has it. The function is one of
/// `loaded` and has no tables. `known_until` is the end of the code before `address` that has tables.
pub(super) fn frame_pointer_rule(
    loaded: &LoadedImage,
    address: usize,
    known_until: usize,
    registers: &Registers,
    memory: &mut StackMemory,
) -> Option<Rule> {
    let code = code_at(loaded, address)?;
    let is_copy = memory.is_copy();
    let called_function = |return_address| called_function(return_address, is_copy);
    let stack_pointer = registers.stack_pointer;
    let frame_pointer = registers.frame_pointer(memory)?;
    let frame_bytes = frame_pointer.wrapping_sub(stack_pointer);
    if frame_bytes > MAX_FRAME_BYTES || !frame_bytes.is_multiple_of(WORD_BYTES) {
        return None;
    }
    let caller = memory.read(frame_pointer.wrapping_add(WORD_BYTES));
    // mutant: D5 any frame pointer is believed
    let function = caller.and_then(called_function)?;
    let is_ours =
        function <= address && function >= known_until && address.wrapping_sub(function) < MAX_FUNCTION_BYTES;
    let rule = sets_up_frame_pointer(&code, function).filter(|_| is_ours)?;
    let is_return_within = |word: usize| {
        // mutant: D5 callers are passed by
        called_function(word).is_some_and(|called| called > function && called <= address)
    };
    let are_none_within = (0..frame_bytes / WORD_BYTES).all(|index| {
        let word = memory.read(stack_pointer.wrapping_add(index.wrapping_mul(WORD_BYTES)));
        word.is_some_and(|word| !is_return_within(word))
    });
    let is_leaf = registers.link.value().is_some_and(is_return_within);
    (are_none_within && !is_leaf).then_some(rule)
}

/// The code segment that `address` is in.
fn code_at(loaded: &LoadedImage, address: usize) -> Option<Segment> {
    loaded.segments()?.containing(address).filter(|segment| segment.is_code)
}

/// The function that the call before `return_address` leads to, if there is one whose target is known. `is_copy`: that
/// address was read from a copy of another thread's stack.
fn called_function(return_address: usize, is_copy: bool) -> Option<usize> {
    let return_address = processor::without_signature(return_address);
    // Most words on a stack are no addresses.
    if return_address < 1 << 16 || return_address >> processor::ADDRESS_BITS != 0 {
        return None;
    }
    let image = loaded::find(return_address.wrapping_sub(1))?;
    if is_copy && !image.is_permanent() {
        return None;
    }
    let code = code_at(&image, return_address.wrapping_sub(1))?;
    let before = |bytes: usize| code.bytes_from(return_address.wrapping_sub(bytes));
    match instructions::call_before(return_address, before)? {
        Target::Function(function) => Some(behind_stub(&image, function).unwrap_or(function)),
        Target::Slot(slot) => word_of(&image, slot),
    }
}

/// Where the function lies that a stub of an image jumps to. Functions of other images are called by stubs.
fn behind_stub(loaded: &LoadedImage, stub: usize) -> Option<usize> {
    let code = code_at(loaded, stub)?.bytes_from(stub)?;
    word_of(loaded, instructions::slot_of_stub(code, stub)?)
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
    instructions::frame_pointer_distance(code.bytes_from(function)?)
}

/// The rule of a function that begins by setting a frame pointer up.
fn sets_up_frame_pointer(code: &Segment, function: usize) -> Option<Rule> {
    let begin = code.bytes_from(function)?;
    instructions::frame_pointer_rule(begin.get(..MAX_PROLOGUE_BYTES).unwrap_or(begin))
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
            [0, 1, 1 << 16, 1 << 47, usize::MAX, data.as_ptr().addr() + 8, called as fn() -> _ as usize + 1]
        {
            assert_eq!(called_function(word, false), None, "{word:#x}");
        }
    }
}
