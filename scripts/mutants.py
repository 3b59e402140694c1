#!/usr/bin/env python3
"""Takes each protection out of a copy of the crate, one at a time, and demands that its test fails without it.

The hazards are listed in docs/reliability.md. Arguments choose mutants by words in their names. Linux on x86-64.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path("alloc-profiler/src")

# Name, file, what is replaced by what, the test that must fail.
MUTANTS = [
    ("A2 recording is not paused", "recorder.rs",
     "    // What an unwinder allocates is not the program's.\n    let _pause = Pause::begin();\n", "",
     "call_outs::what_is_called_may_allocate"),
    ("A3 frees are not noticed", "recorder.rs", "    live::remove(address);\n", "    let _ = address;\n",
     "threads::what_a_pause_frees_is_noticed"),
    ("A4 no handler in children", "fork.rs", "if !IS_REGISTERED.swap(true, Relaxed) {",
     "if IS_REGISTERED.load(Relaxed) {", "fork::children_begin_anew"),
    ("A4 locks stay held in children", "fork.rs", "    live::begin_anew(alone);\n", "", "fork::children_begin_anew"),
    ("A4 children keep the seed", "fork.rs", "    sampler::begin_anew(alone);\n", "",
     "fork::each_child_samples_by_a_seed_of_its_own"),
    ("A7 stacks are read without bounds", "stack/memory.rs",
     "if address < self.low || address > self.high.wrapping_sub(WORD_BYTES) {", "if address == 0 {",
     "foreign_code::frame_pointers_may_be_anything"),
    ("A9 there is always room", "stack/memory.rs", "true => stack_pointer.wrapping_sub(bounds.low) >= NEEDED_BYTES,",
     "true => true,", "stack_room::where_little_stack_is_left_none_is_taken"),
    ("A9 there is always room on a fiber", "stack/memory.rs",
     "false => has_room_on_strange_stack(stack_pointer),", "false => true,", "foreign_code::fibers_may_allocate"),
    ("A10 signals' stacks have no end", "stack/memory.rs",
     "        return stack_pointer.wrapping_sub(bounds.low) >= NEEDED_BYTES;\n", "        return true;\n",
     "signals::handlers_may_allocate_on_a_small_stack_of_their_own"),
    ("A10 errno is littered", "c_library.rs", "    unsafe { errno.write(before) };\n", "    let _ = before;\n",
     "call_outs::errno_stays"),
    ("A12 a failed realloc forgets", "allocator.rs", "                recorder::remember(&sample);\n",
     "                let _ = sample;\n", "contract::any_sequence"),
    ("A12 zeroed memory is not", "allocator.rs",
     "observed(unsafe { inner.alloc_zeroed(layout) }, layout.size(), weight)",
     "observed(unsafe { inner.alloc(layout) }, layout.size(), weight)", "contract::any_sequence"),
    ("A14 no memory is a crash", "memory.rs", "(start != libc::MAP_FAILED).then(|| start.expose_provenance())",
     "Some(start.expose_provenance())", "call_outs::what_is_called_may_fail"),
    ("B1 forgotten after the free", "allocator.rs",
     "        recorder::forget(ptr.addr());\n        // SAFETY: the caller's promise, passed on.\n"
     "        unsafe { inner.dealloc(ptr, layout) }\n",
     "        // SAFETY: the caller's promise, passed on.\n        unsafe { inner.dealloc(ptr, layout) };\n"
     "        recorder::forget(ptr.addr());\n",
     "contract::threads_may_hand_each_other"),
    ("B3 the first block after a pause is sampled", "sampler.rs",
     "thread.bytes_until_sample.set(thread.resume_at.get());", "thread.bytes_until_sample.set(0); thread.deferred.set(0);",
     "statistics::a_pause_favours_nobody"),
    ("B3 threads are seeded alike", "sampler.rs", "thread_number.wrapping_mul(0xD6E8_FEB8_6659_FD93)",
     "thread_number.wrapping_mul(0)", "statistics::threads_start_anywhere"),
    ("C1 any number of stacks", "stacks.rs", "(count < STACK_LIMIT.load(Relaxed))", "(count < usize::MAX)",
     "caps::a_million_stacks"),
    ("C4 locks are waited for", "sync.rs", "                if elapsed >= NANOS && patience == Patience::Bounded {\n                    return false;\n                }\n",
     "                let _ = elapsed; tries = SPINS;\n", "caps::a_lock_may_be_held_for_ever"),
]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if all(word in mutant[0] for word in words)]
    environment = dict(os.environ, CARGO_TARGET_DIR=os.environ.get("MUTANTS_TARGET_DIR", str(root / "target/mutants")))
    environment["RUST_BACKTRACE"] = "0"
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = pathlib.Path(folder) / "copy"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("target", ".git"))
        test = ["cargo", "test", "-q", "-p", "workspace-tests", "--test", "hazards"]
        subprocess.run([*test, "--no-run"], cwd=copy, env=environment, check=True)
        for name, file, old, new, filter in chosen:
            source = copy / SOURCES / file
            original = source.read_text()
            if original.count(old) != 1:
                sys.exit(f"mutants: {name}: what is to be replaced is there {original.count(old)} times")
            source.write_text(original.replace(old, new))
            # What does not compile proves nothing.
            subprocess.run([*test, "--no-run"], cwd=copy, env=environment, check=True, stderr=subprocess.DEVNULL)
            is_caught = subprocess.run([*test, filter], cwd=copy, env=environment, capture_output=True).returncode != 0
            print(f"{'caught  ' if is_caught else 'SURVIVED'}  {name}: {filter}", flush=True)
            if not is_caught:
                survivors.append(name)
            source.write_text(original)
    sys.exit(f"mutants: {len(survivors)} survived" if survivors else 0)


main()
