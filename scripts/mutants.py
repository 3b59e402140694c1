#!/usr/bin/env python3
"""Takes each protection out of a copy of the crates, one at a time, and demands that its test fails without it.

The hazards are listed in docs/reliability.md. Arguments choose mutants: one is run if any argument is part of its name. Linux on
x86-64 only.

A comment `// mutant: NAME` in the source marks the statement below it, in whatever file that is. A mutant that changes two statements
has the markers `NAME (1)` and `NAME (2)`. The table below says what is done to the marked statement. Its regular expressions say as
well what the statement must look like. With --check, the script only sees that the markers and the table agree: each marker is in the
sources once, the table has a mutant for it, and each expression matches its statement once.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# The folders whose `src` folders, at whatever depth, hold markers.
CRATES = ["alloc-profiler", "pprof-server"]
MARKER = re.compile(r"^ *// mutant: (.+)\n", re.MULTILINE)

# Where the tests are that belong to no hazard.
UNWINDERS = ["-p", "unwinder", "--test", "unwinders_agree", "in_this_build"]
ERRORS = ["-p", "workspace-tests", "--test", "errors_hold_the_truth"]
SNAPSHOTS = ["-p", "workspace-tests", "--test", "snapshots_hold_together_under_load"]
SERVER_UNITS = ["-p", "pprof-server", "--lib"]
# This also builds the program that the test runs.
LIFE = ["-p", "pprof-server"]
CHANGED_LIBRARY = ["-p", "workspace-tests", "--test", "frames_in_libraries_are_named"]
SANDBOXES = ["-p", "workspace-tests", "--test", "sandboxes"]
MODEL = "scripts/check-model.sh"
NO_PANIC = "scripts/check-no-panic.py"
FAST_PATH = "scripts/check-fast-path.sh"
# What a script must say for a mutant to count as caught, because these scripts also fail when a tool is missing.
COMPLAINTS = {NO_PANIC: " <- ", FAST_PATH: "has a locked instruction"}


def replace(expected, template):
    """The one match of `expected` in the marked statement becomes `template`."""
    return expected, lambda statement, match: statement[: match.start()] + match.expand(template) + statement[match.end() :]


def remove(expected):
    """The marked statement, which must match `expected` once, goes."""
    return expected, lambda statement, match: ""


def around(expected, before, after):
    """`before` and `after` are put around the marked statement, which must match `expected` once."""
    return expected, lambda statement, match: f"{match.expand(before)}\n{statement}{match.expand(after)}\n"


def before(expected, text):
    return around(expected, text, "")


def after(expected, text):
    return around(expected, "", text)


MAP_FAILED_IS_TAKEN = replace(r"\(.+ != libc::MAP_FAILED\)\.then\(\|\| (.+)\)", r"Some(\1)")

# A mutant's name, what is done to the statement that it marks (a list, if it marks several), and what must fail: one of the hazards'
# tests, the arguments of `cargo test`, or a script.
MUTANTS = [
    ("A1 the loader is asked under a lock",
     around(r"\bcapture\(", r"""    static WIDE: AtomicBool = AtomicBool::new(false);
    extern "C" fn nothing(_: *mut libc::dl_phdr_info, _: usize, _: *mut std::ffi::c_void) -> std::ffi::c_int { 0 }
    while WIDE.swap(true, std::sync::atomic::Ordering::Acquire) { std::hint::spin_loop() }
    unsafe { libc::dl_iterate_phdr(Some(nothing), std::ptr::null_mut()) };
""", r"    WIDE.store(false, std::sync::atomic::Ordering::Release);"),
     "storm::the_loaders_locks"),
    ("A2 recording is not paused", remove(r"::begin\(\)"), "call_outs::what_is_called_may_allocate"),
    ("A3 frees are not noticed",
     replace(r"[\w:]+::remove\((\w+)\)", r"let _ = \1"), "threads::what_a_pause_frees_is_noticed"),
    ("A4 no handler in children",
     replace(r"!(\w+)\.swap\(true, Relaxed\)", r"\1.load(Relaxed)"), "fork::children_begin_anew"),
    ("A4 locks stay held in children", remove(r"begin_anew"), "fork::children_begin_anew"),
    ("A4 children keep the seed", remove(r"begin_anew"), "fork::each_child_samples_by_a_seed_of_its_own"),
    ("A4 children know the walks of their parent",
     remove(r"forget\(\)"), "fork::children_go_on_where_their_parent_was"),
    ("A5 a panic can be reached", after(r"::remove\((\w+)\)", r"assert!(\1 != 3);"), NO_PANIC),
    ("A6 thread-locals have a destructor",
     before(r"thread_local!", r"impl Drop for Thread { fn drop(&mut self) { std::hint::black_box(()); } }"),
     "threads::threads_may_end_untidily"),
    ("A7 stacks are read without bounds",
     replace(r"if (\w+) < .+ \|\| .+ \{", r"if \1 == 0 {"), "foreign_code::frame_pointers_may_be_anything"),
    ("A8 addresses do not say in which library", remove(r"self\.image = "), "libraries::another_library"),
    ("A8 frames are where those of another library were",
     replace(r"= [\w:]+\((\w+), [\w.]+\)", r"= Some(\1)"), "libraries::another_library"),
    ("A8 frames are where those of another build were",
     replace(r"\.filter\(.+\)(?=;)", r""), "libraries::a_library_may_be_built_anew"),
    ("A8 code in no object is taken for what lies there",
     remove(r"NOWHERE"), "foreign_code::code_may_have_no_unwind_tables"),
    ("A8 a library is known by its place alone",
     replace(r": \w+\((\w+)\),", r": \1.len() as u64 - 4096,"), "libraries::another_library"),
    ("A8 whatever is there is taken for the library",
     replace(r"if (\w+)\.contains\(&(\w+)\)", r"if \1.iter().any(|other| other.start == \2.start)"),
     "libraries::another_library"),
    ("A9 there is always room",
     replace(r"true => .+,", r"true => true,"), "stack_room::where_little_stack_is_left_none_is_taken"),
    ("A9 there is always room on a fiber",
     replace(r"false => .+,", r"false => true,"), "foreign_code::fibers_may_allocate"),
    ("A10 signals' stacks have no end",
     replace(r"return .+;", r"return true;"), "signals::handlers_may_allocate_on_a_small_stack_of_their_own"),
    ("A10 errno is littered", replace(r"unsafe \{ .+write\((\w+)\) \}", r"let _ = \1"), "call_outs::errno_stays"),
    ("A11 tables end with main",
     after(r"keep_pages_small\(&(\w+)\)", r"""
    extern "C" fn end() {
        let pages = (\1.as_ptr() as usize).next_multiple_of(4096) as *mut libc::c_void;
        // Other handlers take their time too.
        unsafe { libc::munmap(pages, LEN - 4096); libc::usleep(10_000) };
    }
    unsafe { libc::atexit(end) };
"""),
     "lifetimes::a_process_may_begin"),
    ("A12 a failed realloc forgets", replace(r"[\w:]+\(&(\w+)\)", r"let _ = \1"), "contract::any_sequence"),
    ("A12 zeroed memory is not", replace(r"alloc_zeroed", r"alloc"), "contract::any_sequence"),
    ("A14 no memory is a crash", MAP_FAILED_IS_TAKEN, "call_outs::what_is_called_may_fail"),
    ("A15 allocations share a counter",
     before(r"THREAD\.", r"static ALL: AtomicU64 = AtomicU64::new(0); ALL.fetch_add(1, Relaxed);"), FAST_PATH),
    ("B1 removals that wait are few",
     replace(r"if .+ \{", r"if true {"), ["-p", "alloc-profiler", "--lib", "the_table_agrees"]),
    ("B1 looks trust what is being moved", replace(r"if .+ == self\.version.+ \{", r"if true {"), MODEL),
    ("B1 a move is announced too late", remove(r"fence\(Release\)"), MODEL),
    ("B1 a version is compared too early", remove(r"fence\(Acquire\)"), MODEL),
    ("B1 what was postponed comes second", remove(r"remove_postponed"), MODEL),
    ("B1 of two that wait, one is seen", replace(r"\.swap\(true, AcqRel\)", r".store(true, Release)"), MODEL),
    ("B1 searches end where a record was removed", replace(r"REMOVED", r"EMPTY"), MODEL),
    ("B1 a second block nearby is not counted", replace(r"(\w+) if (.+) => 2,", r"\1 if \2 => \1,"), MODEL),
    ("B1 of two nearby, the one that left is taken for the one that stayed",
     before(r"=> .+saturating_sub\(1\)", r"2 => one(address),"), MODEL),
    ("B1 counts stay", remove(r"filter::remove"), MODEL),
    ("B1 forgotten after the free", [remove(r"forget\("), after(r"dealloc\((\w+)", r"; recorder::forget(\1.addr());")],
     "contract::threads_may_hand_each_other"),
    ("B2 a thread's own frees alone are noticed",
     replace(r"\((hash\(.+\) >> 56)\) as usize", r"((unsafe { libc::gettid() } as usize) ^ (\1) as usize)"),
     "threads::threads_may_end_untidily"),
    ("B3 the first block after a pause is sampled",
     replace(r"(\w+)\.go_on\(self\.\w+\)", r"\1.deferred.set(0); \1.go_on(0)"), "statistics::a_pause_favours_nobody"),
    ("B3 threads are seeded alike",
     replace(r"wrapping_mul\(0x\w+\)", r"wrapping_mul(0)"), "statistics::threads_start_anywhere"),
    ("B4 what is added meanwhile is lost",
     replace(r"(self\.\w+)\.fetch_add\(1, Relaxed\)", r"\1.store(\1.load(Relaxed).wrapping_add(1), Relaxed)"),
     SNAPSHOTS),
    ("B7 our own frames are shown",
     after(r"begin\(\)", r"let _ = frames.push(CodeAddress::returning_to(registers.instruction_pointer));"), UNWINDERS),
    ("B7 a walk that was there once is there again", replace(r"== (Some\(.+\))", r".min(\1).is_some()"), UNWINDERS),
    ("B7 frame pointers are where they were", replace(r"&& \(", r"&& (true || "), UNWINDERS),
    ("B7 return addresses are taken for calls",
     replace(r"\.saturating_sub\(1\)", r""), [*SERVER_UNITS, "one_is_subtracted_once"]),
    ("B8 samples without a stack are not told", remove(r"raise\(\)"), "stack_room::where_little_stack_is_left"),
    ("D5 a path is what the kernel writes",
     replace(r"if .+ \{", r"if true {"), [*SERVER_UNITS, "what_the_kernel_adds_to_a_path"]),
    ("D5 callers are passed by", replace(r"\|\w+\| .+\)", r"|_| false)"), "without_tables::what_is_not_verified"),
    ("D5 any frame pointer is believed",
     replace(r"= (\w+)\.and_then\(\w+\)", r"= \1.map(|_| address)"), "without_tables::verified_frame_pointers"),
    ("D5 stacks that end early are not counted", remove(r"raise\(\)"), "without_tables::what_is_not_verified"),
    ("D5 program headers are in the first page of a library",
     replace(r"= (\w+)\.or_else\(.+\)\?", r"= \1?"), CHANGED_LIBRARY),
    ("D5 a build id is as far from the headers as in the file",
     replace(r"\|(\w+)\| self\.\w+\(.+?\)", r"|\1| start.checked_add(\1)"), CHANGED_LIBRARY),
    ("D5 program headers are in the first page of a file",
     replace(r"read\((\w+\(.+?\))\?\)\?", r"\1.and_then(|_| None::<Vec<u8>>)?"),
     [*SERVER_UNITS, "headers_and_build_id_are_found_anywhere"]),
    ("D5 a file that cannot be read is called another",
     replace(r"if (\w+) == [\w.]+", r"if \1 != \1"), [*SERVER_UNITS, "is_still_the_one_that_was_started"]),
    ("D5 unwind tables end where the code does",
     replace(r"if (.+ >= .+) \{", r"if \1 || header.p_flags & PF_X == 0 {"), "without_tables::whole_stacks"),
    ("B8 cut stacks are not told", remove(r"raise\(\)"), "stack_room::deep_recursion"),
    ("B8 samples under the overflow stack are not told", remove(r"raise\(\)"), "caps::a_million_stacks"),
    ("B8 samples lost to a busy lock are not told",
     replace(r"=> .+raise\(\),", r"=> {}"), "caps::a_lock_may_be_held_for_ever"),
    ("D7 the error is that of chance alone", replace(r"(\w+) \* \(\1 - 1\.0\)", r"\1 * \1"), ERRORS),
    ("D7 what lives on makes a change uncertain", replace(r"\|\w+\| .+(?=\);)", r"|_| true"), ERRORS),
    ("D7 what died is forgotten",
     replace(r"(\w+) \+ (\w+)\((\w+) - (\w+), \3\)", r"{ let _ = \4; \1 + \2(\3 * 0.0, \3) }"), ERRORS),
    ("D9 time that passed is by the clock that is set",
     replace(r"Some\(.+\),", r"Some(self.taken_at.duration_since(earlier.taken_at).unwrap_or_default()),"),
     ["-p", "pprof-server", "--test", "clock_set"]),
    ("D9 moments are in the order of the clock that is set",
     replace(r"self\..+", r"record.summary.taken_at"), ["-p", "pprof-server", "--test", "clock_set"]),
    ("D14 suspects forget what samples weighed",
     replace(r"\(self\.\w+\(from, to\) \+ (self\.\w+\(from, to\))\)", r"\1"),
     [*SERVER_UNITS, "a_lower_interval_is_no_leak"]),
    ("C1 any number of stacks", replace(r"\((\w+) < [\w:]+\(\)\)", r"(\1 < usize::MAX)"), "caps::a_million_stacks"),
    ("C2 one table for all", replace(r"= \d+;", r"= 1;"), "caps::tables_grow_without_a_stall"),
    ("C3 names are kept without end",
     replace(r"if (.+) > \w+ \{", r"if \1 > usize::MAX - 1 {"), [*SERVER_UNITS, "the_cache_is_emptied_when_full"]),
    ("C3 another build's file is asked",
     replace(r"false => .+,", r"false => true,"), [*SERVER_UNITS, "a_file_of_another_build"]),
    ("C4 locks are waited for",
     replace(r"if (\w+) >= .+ \{", r"if { let _ = \1; tries = SPINS; false } {"), "caps::a_lock_may_be_held_for_ever"),
    ("C4 memory without a lock is handed out twice",
     replace(
         r"let (\w+) = (.+)\.fetch_update\(.+ Some\((\w+)\(.+\)\?\.1\)\);",
         r"let \1 = { let n = \2.load(Relaxed); \3(n).ok_or(()).map(|(_, end)| { \2.store(end, Relaxed); n }) };"),
     ["-p", "alloc-profiler", "--lib", "nobody_else_has_a_piece"]),
    ("C5 no memory is a crash", MAP_FAILED_IS_TAKEN, "refusals::memory_may_run_out"),
    ("D4 what is recorded is opened anew",
     replace(r"Some\(\w+\) => .+,", r'Some(_) => fs::read_to_string("/proc/self/status").ok(),'), SANDBOXES),
    ("D4 files are opened in a sandbox", replace(r"!self\.\w+ && ", r"false && "), SANDBOXES),
    ("D4 a port in use is tried again in a sandbox", replace(r"if .+ \{", r"if false {"), SANDBOXES),
    ("D11 where the main thread's stack is stands in a file",
     replace(r"if (\w+)\.contains\((\w+)\) \{ \1 \}", r"if { let _ = \2; false } { \1 }"), SANDBOXES),
    ("D1 instances of generic code are functions of their own",
     replace(r"= (.+);", r"= false && \1;"), [*SERVER_UNITS, "both_manglings_have_one_name"]),
    ("D1 names are spelled out, whatever their length",
     replace(r"if let Some\((\w+)\) = v0::demangle\((\w+)\)", r"""
        if let Some(\1) = rustc_demangle::try_demangle(\2).ok().filter(|_| \2.starts_with("_R")).map(|name| {
            v0::Demangled { text: format!("{name:#}"), is_whole: true }
        })"""),
     [*SERVER_UNITS, "a_name_that_doubles"]),
    ("D1 what differs in the middle is one",
     replace(r"\w+\(.+\) as u32", r"0"), [*SERVER_UNITS, "megabytes_lose_their_middle"]),
    ("D1 an inlined line is another one",
     replace(r"\((\w+)\.function\.clone\(\),", r'(format!("{}{}", \1.function, \1.is_inlined),'),
     [*SERVER_UNITS, "a_line_is_one_whoever_took_it_in"]),
    ("D15 a removal that was postponed is done although realloc failed",
     replace(r"if .+ \{", r"if false {"), "contract::a_realloc_that_fails_while_a_lock_is_held"),
    ("D15 a removal is done that was put off for good",
     replace(r"if (\w+)\.compare_exchange\(.+\)\.is_ok\(\) \{", r"\1.store(EMPTY, Release); {"), MODEL),
    ("D15 allocators around one another count twice",
     replace(r"match (.+) \{", r"match 0 & \1 {"), "contract::allocators_around_one_another"),
    ("D15 bytes that are counted twice are half as many",
     replace(r" \* .+(?=;)", r""), "contract::allocators_around_one_another"),
    ("D15 records that another block took are not told",
     replace(r": .+,", r": 0,"), "contract::a_pool_over_the_global_allocator"),
    ("D15 a pause that a handler comes into has no end",
     [before(r"(\w+)\.stop\(\)", r"\1.pauses.set(\1.pauses.get().saturating_add(1));"), remove(r"pauses\.set")],
     "single_step::in_a_pause"),
    ("D15 a handler comes into a decision", replace(r"if .+ \{", r"if false {"), "single_step::estimates_stay_right"),
    ("D6 a default release build is not told",
     remove(r'\("\w+", .+\),'), ["-p", "pprof-server", "--test", "other_builds", "a_default_release_build"]),
    ("D2 the worker's failure is the program's panic", remove(r"check_room"), [*LIFE, "no_failure_anywhere"]),
    ("D3 our threads take signals",
     remove(r"Blocked::begin"), ["-p", "alloc-profiler", "--lib", "all_but_those_of_faults"]),
    ("D8 the parent's sockets stay open",
     replace(r"([\w:]+)\(\w+\);", r"let _ = \1;"), ["-p", "alloc-profiler", "--lib", "children_close_what"]),
    ("D15 who waits is cut when the server stops",
     [remove(r"\.join\(\)"), remove(r"answer_the_last")], [*SERVER_UNITS, "nobody_is_left_without_an_answer"]),
    ("D6 what is missing is not told at the start",
     remove(r"missing"), ["-p", "pprof-server", "--test", "other_builds", "a_default_release_build"]),
    ("D6 debug information of another crate is taken for the program's",
     replace(r"== own_crate", r'!= ""'), [*SERVER_UNITS, "debug_information_of_others"]),
    ("D6 stacks that could not be taken are not told",
     remove(r'\("\w+", .+\),'), [*SERVER_UNITS, "stacks_that_could_not_be_taken"]),
    ("D6 names that are missing are not told", replace(r"=> .+,", r"=> {}"), [*SERVER_UNITS, "names_that_are_missing"]),
    ("D12 whatever malloc is there is taken for glibc's", replace(r"(\w+\(malloc .+\)) == \w+", r"(\1, true).1"),
     ["-p", "pprof-server", "--test", "figures", "another_malloc"]),
    ("D12 figures of nothing are told", replace(r"(\w+)\.then_some\((\w+)\)", r"Some(\2).filter(|_| \1 || true)"),
     [*SERVER_UNITS, "what_nobody_has_looked_at"]),
    ("D12 the classic format ends as OpenMetrics does",
     replace(r"prometheus_text", r"text"), ["-p", "pprof-server", "--test", "figures", "a_scraper_gets"]),
    ("D13 an address is answered each time",
     replace(r"\w+\.insert\(\*\w+\)", r"\g<0> || true"), [*SERVER_UNITS, "an_address_that_comes_again"]),
    ("D13 an answer to symbol has no bound",
     replace(r"new\(\w+\)", r"new(usize::MAX)"), [*SERVER_UNITS, "an_answer_is_bounded"]),
    ("D13 figures wait for names", replace(r"Lane::Figures", r"Lane::Names"), [*SERVER_UNITS, "who_needs_no_names"]),
    ("D13 a text is measured when it is there",
     replace(r"> .+ \{", r"> self.max_bytes {"), [*SERVER_UNITS, "a_line_is_there_or_not"]),
    ("D13 free pages are given back without pause",
     replace(r">= \d+ \*", r">= 0 *"), [*SERVER_UNITS, "in_a_tenth_of_the_time"]),
    ("D12 stacks with nothing in use have rows", remove(r"retain"), [*SERVER_UNITS, "stacks_with_nothing_of"]),
]


def statement_after(text, start):
    """The statement that begins at `start` of `text`, behind comments and further markers, as (start, end).

    It ends with the first line that closes all its parentheses and ends as statements, fields, match arms and heads of blocks do, or
    before the end of the block that it is in.
    """
    comments = re.compile(r"( *//.*\n)*").match(text, start)
    begin = end = comments.end()
    for line in text[begin:].splitlines(keepends=True):
        code = re.sub(r"\s*(// .*)?\n", "", line)
        depth = sum(text[begin:end].count(bracket) for bracket in "([") - sum(text[begin:end].count(bracket) for bracket in ")]")
        if end > begin and depth == 0 and code.lstrip().startswith("}"):
            break
        end += len(line)
        depth += sum(code.count(bracket) for bracket in "([") - sum(code.count(bracket) for bracket in ")]")
        if depth <= 0 and code.endswith((";", ",", "{", "}")):
            break
    return begin, end


def markers(root):
    """The files that hold each marker, by its name: a file stands there as often as it holds the marker."""
    found = {}
    for crate in CRATES:
        for path in sorted((root / crate).rglob("*.rs")):
            if "src" in path.relative_to(root).parts and "target" not in path.relative_to(root).parts:
                for name in MARKER.findall(path.read_text()):
                    found.setdefault(name, []).append(path)
    return found


def edits_of(mutant):
    """The marker, the expected form and the change of each statement that `mutant` changes."""
    name, changes, _ = mutant
    if isinstance(changes, list):
        return [(f"{name} ({number})", *change) for number, change in enumerate(changes, 1)]
    return [(name, *changes)]


def edited(text, marker, expected, change):
    """`text` with the marked statement changed, or None if the statement is not what is expected."""
    place = re.search(rf"^ *// mutant: {re.escape(marker)}\n", text, re.MULTILINE)
    begin, end = statement_after(text, place.end())
    matches = list(re.finditer(expected, text[begin:end]))
    if len(matches) != 1:
        return None
    return text[:begin] + change(text[begin:end], matches[0]) + text[end:]


def complaints(root):
    """What does not agree between the markers and the table."""
    found = markers(root)
    edits = [edit for mutant in MUTANTS for edit in edits_of(mutant)]
    names = [marker for marker, *_ in edits]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"the table has it twice: {name}"
    for name, paths in found.items():
        if name not in names:
            yield f"the table has no mutant for this marker: {name} ({paths[0].relative_to(root)})"
    for marker, expected, change in edits:
        paths = found.get(marker, [])
        if len(paths) != 1:
            yield f"the sources hold this marker {len(paths)} times, not once: {marker}"
            continue
        text = paths[0].read_text()
        if edited(text, marker, expected, change) in (None, text):
            yield f"the marked statement does not match {expected} once: {marker} ({paths[0].relative_to(root)})"


def commands(test):
    """What builds `test`, and what runs it."""
    if test == MODEL:
        return ["cargo", "build", "-q", "--release", "--manifest-path", "tests/model/Cargo.toml"], [test]
    if test in (NO_PANIC, FAST_PATH):
        return ["cargo", "build", "-q", "-p", "alloc-profiler"], [test]
    test = ["-p", "workspace-tests", "--test", "hazards", test] if isinstance(test, str) else test
    return ["cargo", "test", "-q", "--no-run", *test], ["cargo", "test", "-q", *test]


def is_caught(copy, mutant, environment):
    """Whether the test of `mutant` fails in the folder `copy` while the mutant's changes are made there."""
    found = markers(copy)
    originals = {}
    for marker, expected, change in edits_of(mutant):
        (path,) = found[marker]
        text = path.read_text()
        originals.setdefault(path, text)
        path.write_text(edited(text, marker, expected, change))
    build, run = commands(mutant[2])
    # A mutant that does not compile proves nothing, so a failure to build ends the script.
    subprocess.run(build, cwd=copy, env=environment, check=True, stderr=subprocess.DEVNULL)
    done = subprocess.run(run, cwd=copy, env=environment, capture_output=True, text=True, errors="replace")
    for path, text in originals.items():
        path.write_text(text)
    caught = done.returncode != 0 and COMPLAINTS.get(run[0], "") in done.stdout + done.stderr
    print(f"{'caught  ' if caught else 'SURVIVED'}  {mutant[0]}: {run[-1]}", flush=True)
    return caught


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    stale = list(complaints(root))
    if stale:
        sys.exit("\n".join(f"mutants: {complaint}" for complaint in stale))
    if "--check" in sys.argv[1:]:
        return
    words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant[0] for word in words)]
    environment = dict(os.environ, CARGO_TARGET_DIR=os.environ.get("MUTANTS_TARGET_DIR", str(root / "target/mutants")))
    environment["RUST_BACKTRACE"] = "0"
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = pathlib.Path(folder) / "copy"
        shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns("target", ".git", "node_modules", "unstable"))
        survivors = [mutant for mutant in chosen if not is_caught(copy, mutant, environment)]
    sys.exit(f"mutants: {len(survivors)} survived" if survivors else 0)


if __name__ == "__main__":
    main()
