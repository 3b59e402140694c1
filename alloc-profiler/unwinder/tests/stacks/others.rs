//! Two more ways to find a call chain, to hold ours against: framehop, which reads the unwind tables as well, and frame
//! pointers, for which no table is read.

use std::ptr;
use std::sync::{LazyLock, Mutex};

use super::by_framehop::{Framehop, Registers, word_at};
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
    let mut framehops = Vec::new();
    FRAMEHOP.lock().expect("no panic").visit_callers(registers, |address| {
        framehops.push(address);
        framehops.last().copied() != kernel
    });
    let expected = outer(&framehops);
    let is_whole = kernel.is_none() && ours.len() < MAX_STACK_DEPTH;
    // On aarch64 framehop ends one frame early, because the outermost function has no frame pointer.
    let ends_early = cfg!(target_arch = "aarch64");
    let left_out = usize::from(ends_early);
    let expected = if kernel.is_some() { &expected[..framehops.len()] } else { expected };
    assert!(
        !framehops.is_empty()
            && (framehops.starts_with(expected) || ends_early && expected.starts_with(&framehops))
            && (!is_whole || framehops.len() + left_out == expected.len()),
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
