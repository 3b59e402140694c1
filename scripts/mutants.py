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
import shutil
import subprocess
import sys
import tempfile

from marked_source import edited, markers

# Where the tests are that belong to no hazard.
UNWINDERS = ["-p", "unwinder", "--test", "unwinders_agree", "in_this_build"]
ERRORS = ["-p", "workspace-tests", "--test", "errors_hold_the_truth"]
SNAPSHOTS = ["-p", "workspace-tests", "--test", "snapshots_hold_together_under_load"]
SERVER_UNITS = ["-p", "pprof-server", "--lib"]
# This also builds the program that the test runs.
LIFE = ["-p", "pprof-server"]
PLUGINS = ["-p", "pprof-server", "--test", "other_builds"]
CHANGED_LIBRARY = ["-p", "workspace-tests", "--test", "frames_in_libraries_are_named"]
TASKS_SERVED = ["-p", "pprof-server", "--test", "tasks"]
SANDBOXES = ["-p", "workspace-tests", "--test", "sandboxes"]
LABEL_LIMITS = ["-p", "pprof-server", "--test", "label_limits"]
UNWINDER_UNITS = ["-p", "unwinder", "--lib"]
PUSH = ["-p", "pprof-server", "--features", "push-otlp", "--test", "push"]
PUSH_TLS = ["-p", "workspace-tests", "--features", "push-tls", "--test", "push_over_tls"]
PUSH_BOUNDS = ["-p", "pprof-server", "--features", "push", "--test", "push_bounds"]
CAPTURE_UNITS = ["-p", "capture", "--lib"]
CAPTURE_HAZARDS = ["-p", "capture", "--test", "hazards"]
HOLDERS = ["-p", "holders", "--test", "made_up"]
TASKS_AWAITS = ["-p", "tasks", "--test", "awaits"]
CAPTURE_STACKS = ["-p", "capture", "--test", "stacks"]
CAPTURE_DUMPS = ["-p", "capture", "--test", "dump_calls"]
CAPTURE_SLEEPERS = ["-p", "capture", "--test", "dump_hazards"]
MODEL = "scripts/check-model.sh"
NO_PANIC = "scripts/check-no-panic.py"
FAST_PATH = "scripts/check-fast-path.sh"
HANDLER = "scripts/check-handler.py"
C_ALLOCATIONS = ["-p", "workspace-tests", "--test", "c_allocations"]
MEASUREMENTS = ["-p", "workspace-tests", "--test", "measurements_are_exact"]
# What a script must say for a mutant to count as caught, because these scripts also fail when a tool is missing.
COMPLAINTS = {NO_PANIC: " <- ", HANDLER: "gettid <- ", FAST_PATH: "has a locked instruction"}


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
     before(r"THREAD\.", r"use std::sync::atomic::{AtomicU64, Ordering::Relaxed}; static ALL: AtomicU64 = AtomicU64::new(0); ALL.fetch_add(1, Relaxed);"), FAST_PATH),
    ("E90 without the allocator there are zeros", replace(r"if .+ == 0 \{", r"if proof.end().is_err() {"),
     ["-p", "alloc-profiler", "--lib", "without_the_allocator"]),
    ("E90 a measured thread measures one allocation", replace(r"go_on\(0\)", r"go_on(super::gap::NEVER)"), [*MEASUREMENTS, "eight_threads"]),
    ("E90 memory that was freed counts for the peak", remove(r"fetch_sub"), [*MEASUREMENTS, "eight_threads"]),
    ("E90 frees are not counted", replace(r"\|(\w+)\| \w+\.freed\(.+\)\)", r"|\1| { let _ = (\1, size); })"), [*MEASUREMENTS, "eight_threads"]),
    ("E90 what was there before is counted", replace(r" && number <= .+ \{", r" {"), [*MEASUREMENTS, "what_was_there_before"]),
    ("E110 a size that nobody has stops the sampling", replace(r" \| \(size > .+\)", r""), [*C_ALLOCATIONS, "sizes_that_nobody_has"]),
    ("E110 frees by C are not noticed", remove(r"forget"), [*C_ALLOCATIONS, "side_by_side"]),
    ("E110 a realloc to nothing is taken for one that failed", replace(r" && size > 0", r""), [*C_ALLOCATIONS, "side_by_side"]),
    ("E111 the C library is asked for the stack while it has its lock", replace(r"has_room_without_asking", r"has_room"),
     [*C_ALLOCATIONS, "threads_of_c"]),
    ("E112 what C allocates is silently not counted", replace(r"match found", r"match { let _ = found; CAllocations::Counted }"),
     [*SERVER_UNITS, "what_is_wrong_with_c_allocations"]),
    ("E113 beyond the limit on stacks all blocks are Rust's", replace(r"if .+ \{ of_rust \}", r"if true { of_rust }"),
     [*C_ALLOCATIONS, "beyond_the_limit"]),
    ("D1 a name of C++ has any length", replace(r"if .+ > MAX_BYTES", r"if false"), [*SERVER_UNITS, "a_name_that_doubles_at_every_level_is_cut"]),
    ("B1 removals that wait are few",
     replace(r"if .+ \{", r"if true {"), ["-p", "alloc-profiler", "--lib", "the_table_agrees"]),
    ("B1 what was removed is still in use", replace(r"= .+;", "= (0, 1.0);"),
     ["-p", "alloc-profiler", "--lib", "the_table_agrees"]),
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
    ("D5 pages have 4 KiB",
     replace(r"PAGE_SIZES\.into_iter\(\)", r"PAGE_SIZES.into_iter().take(1)"),
     [*SERVER_UNITS, "the_bias_is_right_where_pages_are_large"]),
    ("D5 every function without tables is where a signal returns to",
     replace(r"== \w+ ", r".len() == expected.len() "), [*UNWINDER_UNITS, "only_these_instructions"]),
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
    ("D14 what has grown for a moment is a leak",
     replace(r"< [A-Z_]+ \{", r"< 0.0 {"), [*SERVER_UNITS, "first_minutes_are_told_right"]),
    ("D14 growth whose slowing is in doubt is a leak",
     replace(r"> [A-Z_]+ \{", r"> f64::INFINITY {"), [*SERVER_UNITS, "whose_slowing_is_in_doubt"]),
    ("D14 what falls and rises again grows",
     replace(r"< [A-Z_]+\)", r"< 0.0)"), [*SERVER_UNITS, "known_programs_are_called_what_they_are"]),
    ("D14 the oldest moment may be passed over",
     replace(r"\.filter\(.+\)", r".filter(|_| false)"), [*SERVER_UNITS, "the_oldest_record_is_looked_at"]),
    ("D14 a leak is as many rows as it has stacks",
     replace(r"\*\w+\.entry\(.+\)\.or_insert\(index\)", r"index"), [*SERVER_UNITS, "one_leak_is_one_group"]),
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
     replace(r"\*line\)", r"2 * *line + u32::from(is_inlined))"),
     [*SERVER_UNITS, "a_line_is_one_whoever_took_it_in"]),
    ("D15 a removal that was postponed is done although realloc failed",
     replace(r"if .+ \{", r"if false {"), "contract::a_realloc_that_fails_while_a_lock_is_held"),
    ("D15 a removal is done that was put off for good",
     replace(r"if (\w+)\.compare_exchange\(.+\)\.is_ok\(\) \{", r"\1.store(EMPTY, Release); {"), MODEL),
    ("D15 allocators around one another count twice",
     replace(r"match (.+) \{", r"match 0 & \1 {"), "nested::allocators_around_one_another"),
    ("D15 bytes that are counted twice are half as many",
     replace(r" \* .+(?=;)", r""), "nested::allocators_around_one_another"),
    ("D15 records that another block took are not told",
     replace(r": .+,", r": 0,"), "nested::a_pool_over_the_global_allocator"),
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
     replace(r"== own_crate\.name", r'!= ""'), [*SERVER_UNITS, "debug_information_of_others"]),
    ("D6 stacks that could not be taken are not told",
     remove(r'\("\w+", .+\),'), [*SERVER_UNITS, "stacks_that_could_not_be_taken"]),
    ("D6 names that are missing are not told", replace(r"Signs::UNNAMED,", r"Signs::default(),"),
     [*SERVER_UNITS, "what_an_address_says"]),
    ("D6 moments of the past that are missing are not told",
     remove(r"notes\.extend"), [*SERVER_UNITS, "moments_that_are_missing"]),
    ("D12 whatever malloc is there is taken for glibc's", replace(r"(\w+\(malloc .+\)) == \w+", r"(\1, true).1"),
     ["-p", "pprof-server", "--test", "figures", "another_malloc"]),
    ("D12 figures of nothing are told", replace(r"(\w+)\.then_some\((\w+)\)", r"Some(\2).filter(|_| \1 || true)"),
     [*SERVER_UNITS, "what_nobody_has_looked_at"]),
    ("D12 the classic format ends as OpenMetrics does",
     replace(r"prometheus_text", r"text"), ["-p", "pprof-server", "--test", "figures", "a_scraper_gets"]),
    ("D6 a library without lines is not told", remove(r"\"library_symbols\""), [*PLUGINS, "libraries_that_lack"]),
    ("D6 names of C are taken for incomplete",
     replace(r"language == .+", r"language.is_some()"), [*PLUGINS, "libraries_that_lack"]),
    ("D6 a plugin is judged by its host",
     replace(r"&\w+\(\)\.plugin", r"&None::<(Range<usize>, Arc<Verdict>)>"), [*PLUGINS, "a_host_says_nothing"]),
    ("D10 the runtime polls the socket for signals", remove(r"look_away"), [*SERVER_UNITS, "a_runtime_polls_our_listener"]),
    ("D12 moments have figures of nothing",
     replace(r"are_known\(.+\)", r"true"), [*SERVER_UNITS, "figures_of_what_nobody"]),
    ("D12 points have figures of nothing",
     replace(r"\.filter\(.+\)", r""), [*SERVER_UNITS, "points_of_what_nobody"]),
    ("D12 nothing known is nothing that grows",
     replace(r"self\.is_known\.then\(\|\| (.+)\),", r"Some(\1),"), [*SERVER_UNITS, "programs_read_the_same"]),
    ("D13 an address is answered each time",
     replace(r"\w+\.insert\(\*\w+\)", r"\g<0> || true"), [*SERVER_UNITS, "an_address_that_comes_again"]),
    ("D13 an answer to symbol has no bound",
     replace(r"new\(\w+\)", r"new(usize::MAX)"), [*SERVER_UNITS, "an_answer_is_bounded"]),
    ("D13 each file may take the time of a request",
     replace(r"deadline", r"Instant::now() + TIME_BUDGET"), [*SERVER_UNITS, "no_file_is_opened_when"]),
    ("D19 work that nobody waits for any more is begun",
     replace(r"!is_cancelled\.load\(Relaxed\)", r"true"), [*SERVER_UNITS, "what_nobody_waits_for"]),
    ("E1 the system's own handling is put back",
     before(r"quiesce", r"        unsafe { libc::signal(libc::SIGPROF, libc::SIG_DFL) };"), [*CAPTURE_HAZARDS, "signals_that_come_late"]),
    ("E2 waits end early", remove(r"REG_RIP"), [*CAPTURE_UNITS, "wait::"]),
    ("E3 the C library is called in a handler",
     replace(r"system_call::thread_id\(\)", r"unsafe { libc::gettid() } as u32"), HANDLER),
    ("E4 a fiber is taken for the thread's own stack", replace(r"\(stack_pointer < .+\)\.then_some\((\w+)\)", r"Some(\1)"),
     [*CAPTURE_STACKS, "fibers"]),
    ("E4 signals are handled on the stack that they interrupt", replace(r" \| libc::SA_ONSTACK", r""), [*CAPTURE_STACKS, "wide_registers"]),
    ("E4 walks are done on the stack for signals",
     replace(r"unsafe \{ run_on\(.+\) \}", r"let _ = end; work(argument);"), [*CAPTURE_STACKS, "wide_registers"]),
    ("E5 all signals are ours", replace(r"key != 0 .+ == key", r"key != 1"), [*CAPTURE_UNITS, "a_sender_is_known"]),
    ("E6 signals come while a process forks", replace(r"signals::block\(\)", r"unsafe { std::mem::zeroed() }"),
     ["-p", "capture", "--test", "fork", "no_signal_of_a_capture"]),
    ("E6 a child has its parent's capture", remove(r"turn::begin_anew"), [*CAPTURE_HAZARDS, "a_process_may_fork"]),
    ("E9 a task that runs is read", replace(r"state & RUNNING", "0"), [*TASKS_AWAITS, "a_task_that_runs_is_busy"]),
    ("E9 what was read is not looked at again",
     replace(r"!trail\.is_unchanged\(\) \|\| ", ""), ["-p", "tasks", "--test", "torn"]),
    ("E9 a block may have another size than the task",
     replace(r"\|bytes\| bytes != cell\.bytes", "|_| false"), [*TASKS_AWAITS, "a_task_says_what_it_is"]),
    ("E10 the tag of a variant is where the value begins",
     replace(r"checked_add\(tag\.offset\)", "checked_add(0)"), [*TASKS_AWAITS, "functions_wait"]),
    ("E10 a tag that is not known means the first variant",
     replace(r"= .*;", "= true;"), ["-p", "tasks", "--lib", "without_a_tag"]),
    ("E8 timers of threads that have ended are kept", remove(r"\.keep\("), [*CAPTURE_HAZARDS, "timers_end_with"]),
    ("E13 the profiler's own threads are sampled", remove(r"known_threads\.add"), [*CAPTURE_HAZARDS, "threads_of_the_profiler"]),
    ("E30 waits that a dump cuts short end early", replace(r"ours\.purpose == Purpose::Dump", r"false"), [*CAPTURE_DUMPS, "begins_again"]),
    ("E31 a copy is believed though the thread went on", replace(r"!matches!", r"false && !matches!"), [*CAPTURE_SLEEPERS, "a_sleeper_that_wakes"]),
    ("E31 a thread that went on and came back is believed to have slept", replace(r"if .+ \{", r"if false {"), [*CAPTURE_SLEEPERS, "a_sleeper_that_wakes"]),
    ("E40 a label stays after its scope", remove(r"word::store"), [*UNWINDER_UNITS, "a_label_is_the_thread"]),
    ("E40 a thread that has ended lends its label to another",
     replace(r"\(word >> 32\) as u32 == thread_id", r"thread_id > 0"), [*UNWINDER_UNITS, "a_word_tells_whose"]),
    ("E40 samples have no labels", replace(r"unwinder::label::current\(\)", r"0"), ["-p", "capture", "--test", "cpu", "cpu_time_is_of_the_label"]),
    ("E41 any number of sets", replace(r">= MAX_SETS", r"== usize::MAX"), LABEL_LIMITS),
    ("E41 any number of values", replace(r">= MAX_VALUES", r"== usize::MAX"), LABEL_LIMITS),
    ("E43 who has left is charged still", remove(r"entry\.waiters -= 1"), [*CAPTURE_UNITS, "an_address_begins_anew"]),
    ("E43 a holder pays for those before it", remove(r"entry\.charged"), [*CAPTURE_UNITS, "each_wake_pays"]),
    ("E43 long waits and short ones weigh the same", replace(r"1\.0 / probability", r"1.0"), [*CAPTURE_UNITS, "sums_are_unbiased"]),
    ("E44 the profiler's own threads are in its profile",
     replace(r" && unwinder::label::current\(\) != OWN_LABEL", r""), ["-p", "capture", "--test", "locks", "waits_of_the_profiler"]),
    ("E97 one who can go on is not enough", replace(r"\.all\(", r".any("), [*CAPTURE_UNITS, "one_who_can_go_on"]),
    ("E97 who has gone on waits still",
     replace(r"== Some\(wait\.used\)", r".is_some() || true"), ["-p", "capture", "--test", "locks", "who_waits_now"]),
    ("E98 the end of a trace is not looked at",
     replace(r"look\(", r"look_if_due("), [*SERVER_UNITS, "one_recording_is_made"]),
    ("E97 who runs has no lock",
     replace(r"!running\.is_empty\(\)", r"running.len() > usize::MAX - 1"), ["-p", "capture", "--test", "locks", "who_computes_with"]),
    ("E15 threads are listed in a sandbox", remove(r"refuse_in_a_sandbox"), SANDBOXES),
    ("E18 an index is used for files that have changed",
     replace(r"kept\.files == files", r"true"), [*SERVER_UNITS, "what_was_found_is_used_again"]),
    ("E19 an index outlives the server",
     replace(r"state\.kept\.take\(\)", r"None::<Kept>"), [*SERVER_UNITS, "nothing_is_kept_unless"]),
    ("E20 the abbreviations of a unit in a package are another one's",
     replace(r"parts\.abbreviations", r"0 * parts.abbreviations"), ["-p", "tasks", "--lib", "units_of_a_package"]),
    ("E17 the loops of a runtime count as tasks", remove(r"LAUNCHER => return"), TASKS_SERVED),
    ("E50 tasks of another function belong to a suspect",
     replace(r"self\.spawned_by == function", r"true"), [*SERVER_UNITS, "the_tasks_that_the_function"]),
    ("E51 tasks are looked at whenever somebody asks",
     replace(r"now < found\.until", r"false"), [*SERVER_UNITS, "what_was_found_is_kept"]),
    ("E52 the frame that spawned a task takes the name of a call",
     replace(r"near \+ 1", r"near"), [*SERVER_UNITS, "who_spawned_a_task"]),
    ("E53 a task that has ended seems to wait",
     replace(r"\{ENDED\}", r""), [*SERVER_UNITS, "a_task_that_has_ended"]),
    ("E54 the remedy for a rough number makes it rougher",
     replace(r"interval / DENSER", r"65536"), [*SERVER_UNITS, "the_remedy_for_a_rough"]),
    ("E7 threads are counted twice", replace(r"if .+contains\(.+\) \{", r"if false {"),
     ["-p", "capture", "--test", "cpu", "shares_and_totals"]),
    ("D13 figures wait for names", replace(r"Lane::Figures", r"Lane::Names"), [*SERVER_UNITS, "who_needs_no_names"]),
    ("D13 a text is measured when it is there",
     replace(r"> .+ \{", r"> self.max_bytes {"), [*SERVER_UNITS, "a_line_is_there_or_not"]),
    ("D13 comments ask for memory that they must have",
     replace(r"new\(.+\)", r"new(usize::MAX)"), [*SERVER_UNITS, "the_heaviest_rows_have_names"]),
    ("D13 the compressor is given memory that is not there",
     replace(r"if .+ \{", r"if false {"), "refusals::a_profile_is_packed"),
    ("D13 a job begins without memory", replace(r"if .+ \{", r"if false {"), "refusals::a_profile_is_packed"),
    ("D13 free pages are given back without pause",
     replace(r">= \d+ \*", r">= 0 *"), [*SERVER_UNITS, "in_a_tenth_of_the_time"]),
    ("E70 what may have arrived is sent again",
     replace(r"Outcome::Unknown\(", r"Outcome::Unsent("), [*PUSH, "what_an_engine_has"]),
    ("E70 what an engine breaks off counts as told",
     replace(r"&mut room\[\.\.piece\]", r"{ let _ = piece; room }"), [*SERVER_UNITS, "--features", "push", "what_an_engine_breaks_off"]),
    ("E71 what was refused counts as told",
     replace(r"if .+ \{", r"if true {"), [*PUSH, "nothing_is_lost"]),
    ("E72 a connection is made in a sandbox", replace(r"if .+ \{", r"if false {"), SANDBOXES),
    ("E75 any certificate is believed",
     replace(r"\.root_certs\(.+\)\.build", r".disable_verification(true).build"), [*PUSH_TLS, "nobody_vouches"]),
    ("E75 no remedy is named", replace(r"if .+ \{", r"if false {"), [*PUSH_TLS, "nobody_vouches"]),
    ("E76 what was read for a push is kept", replace(r"drop\(", r"std::mem::forget("), [*PUSH_BOUNDS, "with_a_fault"]),
    ("E73 a request does not wait for the thread that pushes",
     replace(r"if must_wait &&", r"if false && must_wait &&"), [*PUSH, "cpu_time_is_pushed"]),
    ("D16 a dump is written in a sandbox", replace(r"if .+ \{", r"if false {"), SANDBOXES),
    ("D17 a look at memory has glibc's malloc keep more of it, and open a file", replace(r"if .+ \{", r"if false {"), SANDBOXES),
    ("D13 the recorder takes what it takes", replace(r" = .+;", r" = Duration::ZERO;"), [*SERVER_UNITS, "what_takes_long"]),
    ("D12 stacks with nothing in use have rows", remove(r"retain"), [*SERVER_UNITS, "stacks_with_nothing_of"]),
    ("H1 what a thread has left behind below its stack pointer holds", remove(r"Some\(pointer\) if"), [*HOLDERS, "each_kind_of_place"]),
    ("H2 pages that are not in memory are read", replace(r"run\[0\]", r"true"), [*HOLDERS, "what_is_not_in_memory"]),
    ("H3 words in free memory hold", replace(r"true => Chunk::Free", r"true if false => Chunk::Free"), [*HOLDERS, "words_in_free_memory"]),
    ("H4 a block whose words are not all known is lost", replace(r"if .+is_cut \{", r"if false {"), [*HOLDERS, "very_many_words"]),
    ("H5 a word that was left behind is as good as all others", replace(r"= count \* 4 < .+;", r"= false;"), ["-p", "holders", "--lib", "the_last_choice"]),
    ("H10 a word in a buffer to a block that was not sampled is as good as all others",
     replace(r"= .+;", r"= false;"), ["-p", "holders", "--lib", "a_word_in_a_buffer"]),
    ("H11 a block that was not sampled is as good a holder as any other",
     replace(r"unsampled\(hold\)\.is_some\(\) && .+ < most", r"false"), ["-p", "holders", "--lib", "the_one_that_holds_many"]),
    ("H12 the first chunk of an arena is not known", replace(r"self\.first_of_arena\(.+\) \{", r"None::<u64> {"), ["-p", "holders", "--test", "own_process", "at_the_beginning"]),
    ("H13 a search keeps all others from their names", replace(r"Searches", r"Names"), [*SERVER_UNITS, "does_not_wait_for_searches"]),
    ("H14 the elements of a hash table lie above its address", replace(r"at\.checked_sub\(self\.place\)", r"self.place.checked_sub(at)"), ["-p", "tasks", "--test", "typed", "tables_and_trees"]),
    ("H15 the profiler's own variables hold blocks", replace(r"if .+ \{", r"if false {"), [*SERVER_UNITS, "own_variables_are_told"]),
    ("H17 the profiler's own variables lead to what a task waits for", replace(r"if .+ =>", r"if false =>"), [*HOLDERS, "what_the_profiler_holds"]),
    ("H29 words into a block leave no room for that of its owner", replace(r" \|\| .+;", r";"), [*HOLDERS, "leave_room"]),
    ("H6 one look is enough to call a block lost", replace(r"if .+ \{", r"if false {"), [*HOLDERS, "a_word_that_moves"]),
    ("H8 what was freed during the search is in the profile of holders", replace(r"if .+ \{", r"if false {"), [*SERVER_UNITS, "what_was_freed_during_the_search"]),
    ("H20 what points to a task that waits leads on", replace(r"= .+;", r"= false;"), [*HOLDERS, "all_ways_are_followed"]),
    ("H21 what is in free memory leads to a block", replace(r"Nothing", r"Unknown"), [*HOLDERS, "words_in_free_memory_lead"]),
    ("H22 what a thread has left behind is never in use", replace(r"ran\.contains\(&thread\)", r"false"), [*HOLDERS, "what_a_thread_has_left_behind"]),
    ("H23 a block whose words are not all known is", replace(r"&= .+;", r"&= true;"), [*HOLDERS, "of_which_not_all_words"]),
    ("H24 what holds nothing alone is as good a holder as what does", replace(r"= is_idle && .+;", r"= false;"), ["-p", "holders", "--lib", "leaves_no_doubt"]),
    ("H25 of two holders that lead to different variables the nearer one is the owner",
     replace(r"if .+ \{", r"if true {"), ["-p", "holders", "--lib", "both_are_told"]),
    ("H26 a variable that holds the first of many blocks is as doubtful as a word in a block",
     replace(r"= .+;", r"= most.of_all;"), ["-p", "holders", "--lib", "the_first_of_many_blocks"]),
    ("H27 it is one of the variables that lead to a block that is told",
     replace(r"min\(\)\?", r"filter(|_| false).min()?"), ["-p", "pprof-server", "--test", "holders", "uncertain_between"]),
    ("H30 a word that was left behind holds what nothing holds of its kind",
     replace(r"if .+ \{", r"if true {"), ["-p", "holders", "--lib", "where_many_are_lost"]),
    ("H31 a search competes with the program's threads", replace(r"capture::stand_back\(\);", r""),
     ["-p", "pprof-server", "--test", "holders", "stand_back"]),
    ("H32 a record of jemalloc's holds a block", replace(r"Unsampled if .+ =>", r"Unsampled if false =>"),
     ["-p", "holders", "--test", "made_up", "a_record_of_the_allocator"]),
    ("H32 a vector is taken for a record of jemalloc's", replace(r"\(bits >> .+? && ", r""),
     ["-p", "holders", "--test", "made_up", "a_record_of_the_allocator"]),
    ("H33 what was removed from a list is left behind", replace(r"items\.resize\(.+\);", r""),
     ["-p", "holders", "--lib", "nothing_of_a_list"]),
    ("H34 a place in a group that was not read is in the slot around it", replace(r"if .+ \{", r"if false {"),
     ["-p", "holders", "--test", "made_up", "more_records_than"]),
    ("H35 each buffer of a container counts by itself", replace(r"\|parent\| together\[.+\]\.1", r"|_| 0"),
     ["-p", "holders", "--lib", "the_tables_of_one_map"]),
    ("H28 memory is searched in a sandbox", replace(r"if .+ \{", r"if false {"), SANDBOXES),
    ("D18 a dump does not say who holds what grows", replace(r"if .+ \{", r"if false {"),
     [*LIFE, "who_holds_what_grows"]),
    ("E80 a future that nobody knows waits for nothing",
     replace(r"Unknown", r"Never"), [*TASKS_AWAITS, "what_comes_from_outside"]),
    ("E13 a thread of the profiler's own that has just begun is shown", replace(r"\w+\.starts_with\(.+\)", r"false"),
     ["-p", "capture", "--test", "threads", "that_has_just_begun"]),
    ("E13 a thread that takes its name while it is looked at keeps that of another",
     replace(r"threads::name\(thread\.id\)", r"None"), ["-p", "capture", "--test", "threads", "takes_its_name"]),
    ("E97 a wait has the stack from before it",
     replace(r"if !.+ \{", r"if false {"), ["-p", "capture", "--test", "locks", "begins_during_the_look"]),
    ("E97 a wait has the name from before it",
     remove(r"thread\.name = .+"), ["-p", "capture", "--test", "locks", "begins_during_the_look"]),
    ("E100 what a task waits for is taken for the idleness of its runtime", replace(r"\(!is_beside\)", "(false && !is_beside)"),
     [*SERVER_UNITS, "what_a_task_waits_for_is_not"]),
    ("E99 who is read in some looks only counts as if there were no others", replace(r"each \* ", ""),
     ["-p", "tasks-corpus", "--test", "task_waits"]),
    ("E99 waits of tasks are kept without a bound", replace(r">= MAX_KEPT", r"== usize::MAX"),
     [*SERVER_UNITS, "waits_beyond_the_room"]),
    ("E81 a task that is not judged wakes nobody", replace(r"if matches!\(.+\) =>", r"if false =>"), [*SERVER_UNITS, "a_doubt_makes_all"]),
    ("E83 what a task has left behind makes up for what is masked", replace(r".+", r"true"),
     [*HOLDERS, "what_was_left_behind"]),
    ("E83 pointers that were not found wake nobody", replace(r"true => .+,", r"true => false,"), [*SERVER_UNITS, "counts_more_pointers"]),
    ("H7 a word that has changed meanwhile holds", replace(r"if .+ \{", r"if false {"), [*HOLDERS, "a_word_that_moves"]),
]


def edits_of(mutant):
    """The marker, the expected form and the change of each statement that `mutant` changes."""
    name, changes, _ = mutant
    if isinstance(changes, list):
        return [(f"{name} ({number})", *change) for number, change in enumerate(changes, 1)]
    return [(name, *changes)]


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
    built = subprocess.run(build, cwd=copy, env=environment, capture_output=True, text=True, errors="replace")
    done = None
    if built.returncode == 0:
        done = subprocess.run(run, cwd=copy, env=environment, capture_output=True, text=True, errors="replace")
    for path, text in originals.items():
        path.write_text(text)
    caught = done is not None and done.returncode != 0 and COMPLAINTS.get(run[0], "") in done.stdout + done.stderr
    # A mutant that does not compile proves nothing.
    verdict = "caught  " if caught else "SURVIVED" if done else "BROKEN  "
    print(f"{verdict}  {mutant[0]}: {run[-1]}", flush=True)
    if done is None:
        print(built.stderr, flush=True)
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
    sys.exit(f"mutants: {len(survivors)} were not caught" if survivors else 0)


if __name__ == "__main__":
    main()
