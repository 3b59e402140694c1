#!/usr/bin/env python3
"""Takes each protection out of a copy of the crates, one at a time, and demands that its test fails without it.

The hazards are listed in docs/reliability.md. Arguments choose mutants by words in their names, any of which will do. Linux on x86-64.
With --check, only sees that there is still what each of them takes out.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCES = "alloc-profiler/src"
SERVER = "../../pprof-server/src"

# Where a test is that is none of the hazards'.
UNWINDERS = ["-p", "alloc-profiler", "--test", "unwinders_agree", "in_this_build"]
ERRORS = ["-p", "workspace-tests", "--test", "errors_hold_the_truth"]
SNAPSHOTS = ["-p", "workspace-tests", "--test", "snapshots_hold_together_under_load"]
SERVER_UNITS = ["-p", "pprof-server", "--lib"]
# Builds the program that it runs, too.
LIFE = ["-p", "pprof-server"]
CHANGED_LIBRARY = ["-p", "workspace-tests", "--test", "frames_in_libraries_are_named"]
SANDBOXES = ["-p", "workspace-tests", "--test", "sandboxes"]
MODEL = "scripts/model.sh"
NO_PANIC = "scripts/check-no-panic.py"
FAST_PATH = "scripts/check-fast-path.sh"
# What scripts must say: they fail for want of a tool as well.
COMPLAINTS = {NO_PANIC: " <- ", FAST_PATH: "has a locked instruction"}

# Name, file, what is replaced by what, what must fail: one of the hazards' tests, or what `cargo test` is told, or a
# script.
MUTANTS = [
    ("A1 the loader is asked under a lock", "recorder.rs", "    stack::capture(&mut frames);\n",
     """    static WIDE: AtomicBool = AtomicBool::new(false);
    extern "C" fn nothing(_: *mut libc::dl_phdr_info, _: usize, _: *mut std::ffi::c_void) -> std::ffi::c_int { 0 }
    while WIDE.swap(true, std::sync::atomic::Ordering::Acquire) { std::hint::spin_loop() }
    unsafe { libc::dl_iterate_phdr(Some(nothing), std::ptr::null_mut()) };
    stack::capture(&mut frames);
    WIDE.store(false, std::sync::atomic::Ordering::Release);
""", "storm::the_loaders_locks"),
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
    ("A4 children know the walks of their parent", "stack/recent.rs", "        recent.known.forget();\n", "",
     "fork::children_go_on_where_their_parent_was"),
    ("A5 a panic can be reached", "recorder.rs", "    live::remove(address);\n",
     "    live::remove(address);\n    assert!(address != 3);\n", NO_PANIC),
    ("A6 thread-locals have a destructor", "sampler.rs", "thread_local! {\n    // `const`",
     "impl Drop for Thread { fn drop(&mut self) { std::hint::black_box(()); } }\nthread_local! {\n    // `const`",
     "threads::threads_may_end_untidily"),
    ("A7 stacks are read without bounds", "stack/memory.rs",
     "if address < self.low || address > self.high.wrapping_sub(WORD_BYTES) {", "if address == 0 {",
     "foreign_code::frame_pointers_may_be_anything"),
    ("A8 addresses do not say in which library", "stack/dwarf.rs", "            self.tag = tag;\n", "",
     "libraries::another_library"),
    ("A8 frames are where those of another library were", "stack/dwarf.rs",
     "libraries::numbered(address, tag)", "Some(address)", "libraries::another_library"),
    ("A8 frames are where those of another build were", "stack/dwarf.rs", ".filter(|_| is_of_one_build)", "",
     "libraries::a_library_may_be_built_anew"),
    ("A8 code in no object is taken for what lies there", "stack/dwarf.rs", "            self.tag = libraries::NOWHERE;\n", "",
     "foreign_code::code_may_have_no_unwind_tables"),
    ("A8 a library is known by its place alone", "stack/objects.rs", "fingerprint: page_fingerprint(page),",
     "fingerprint: page.len() as u64 - 4096,", "libraries::another_library"),
    ("A8 whatever is there is taken for the library", SERVER + "/mappings/mod.rs",
     "if images.contains(&image) {", "if images.iter().any(|other| other.start == image.start) {",
     "libraries::another_library"),
    ("A9 there is always room", "stack/memory.rs", "true => stack_pointer.wrapping_sub(bounds.low) >= NEEDED_BYTES,",
     "true => true,", "stack_room::where_little_stack_is_left_none_is_taken"),
    ("A9 there is always room on a fiber", "stack/memory.rs",
     "false => has_room_on_strange_stack(stack_pointer),", "false => true,", "foreign_code::fibers_may_allocate"),
    ("A10 signals' stacks have no end", "stack/memory.rs",
     "        return stack_pointer.wrapping_sub(bounds.low) >= NEEDED_BYTES;\n", "        return true;\n",
     "signals::handlers_may_allocate_on_a_small_stack_of_their_own"),
    ("A10 errno is littered", "c_library.rs", "    unsafe { errno.write(before) };\n", "    let _ = before;\n",
     "call_outs::errno_stays"),
    ("A11 tables end with main", "filter.rs", "    crate::memory::keep_pages_small(&COUNTS);\n",
     """    extern "C" fn end() {
        let pages = (COUNTS.as_ptr() as usize).next_multiple_of(4096) as *mut libc::c_void;
        // Other handlers take their time too.
        unsafe { libc::munmap(pages, LEN - 4096); libc::usleep(10_000) };
    }
    unsafe { libc::atexit(end) };
""", "lifetimes::a_process_may_begin"),
    ("A12 a failed realloc forgets", "allocator.rs", "                recorder::remember(&taken);\n",
     "                let _ = taken;\n", "contract::any_sequence"),
    ("A12 zeroed memory is not", "allocator.rs",
     "observed(unsafe { inner.alloc_zeroed(layout) }, layout.size(), weight)",
     "observed(unsafe { inner.alloc(layout) }, layout.size(), weight)", "contract::any_sequence"),
    ("A14 no memory is a crash", "memory.rs", "(start != libc::MAP_FAILED).then(|| start.expose_provenance())",
     "Some(start.expose_provenance())", "call_outs::what_is_called_may_fail"),
    ("A15 allocations share a counter", "sampler.rs", "pub(crate) fn count_down(size: usize) -> bool {\n",
     """pub(crate) fn count_down(size: usize) -> bool {
    static ALL: AtomicU64 = AtomicU64::new(0);
    ALL.fetch_add(1, Relaxed);
""", FAST_PATH),
    ("B1 removals that wait are few", "live/postponed.rs", "            if !SPILT.iter().any(note) {\n", "            if true {\n",
     ["-p", "alloc-profiler", "--lib", "the_table_agrees"]),
    ("B1 looks trust what is being moved", "live/mod.rs",
     "if version.is_multiple_of(2) && version == self.version.load(Relaxed) {", "if true {", MODEL),
    ("B1 a move is announced too late", "live/mod.rs", "        fence(Release);\n", "", MODEL),
    ("B1 a version is compared too early", "live/mod.rs", "            fence(Acquire);\n", "", MODEL),
    ("B1 what was postponed comes second", "live/mod.rs",
     "        self.shard.remove_postponed(&mut used);\n        self.shard.insert(", "        self.shard.insert(", MODEL),
    ("B1 of two that wait, one is seen", "live/postponed.rs", "self.has_any.swap(true, AcqRel);",
     "self.has_any.store(true, Release);", MODEL),
    ("B1 searches end where a record was removed", "live/table.rs", "mark(slot, REMOVED);", "mark(slot, EMPTY);", MODEL),
    ("B1 a second block nearby is not counted", "filter.rs", "if counted & IS_ONE != 0 => 2,",
     "if counted & IS_ONE != 0 => counted,", MODEL),
    ("B1 of two nearby, the one that left is taken for the one that stayed", "filter.rs",
     "counted => counted.saturating_sub(1),", "2 => one(address),\n        counted => counted.saturating_sub(1),", MODEL),
    ("B1 counts stay", "live/mod.rs", "        filter::remove(address);\n", "", MODEL),
    ("B1 forgotten after the free", "allocator.rs",
     "        recorder::forget(ptr.addr());\n        // SAFETY: the caller's promise, passed on.\n"
     "        unsafe { inner.dealloc(ptr, layout) }\n",
     "        // SAFETY: the caller's promise, passed on.\n        unsafe { inner.dealloc(ptr, layout) };\n"
     "        recorder::forget(ptr.addr());\n",
     "contract::threads_may_hand_each_other"),
    ("B2 a thread's own frees alone are noticed", "live/mod.rs", "    &LIVE[(hash(filter::granule(address)) >> 56) as usize",
     "    &LIVE[((unsafe { libc::gettid() } as usize) ^ (hash(filter::granule(address)) >> 56) as usize)",
     "threads::threads_may_end_untidily"),
    ("B3 the first block after a pause is sampled", "sampler.rs",
     "thread.go_on(self.found);", "thread.deferred.set(0); thread.go_on(0);",
     "statistics::a_pause_favours_nobody"),
    ("B3 threads are seeded alike", "sampler.rs", "thread_number.wrapping_mul(0xD6E8_FEB8_6659_FD93)",
     "thread_number.wrapping_mul(0)", "statistics::threads_start_anywhere"),
    ("B4 what is added meanwhile is lost", "stacks.rs", "self.single_samples.fetch_add(1, Relaxed);",
     "self.single_samples.store(self.single_samples.load(Relaxed).wrapping_add(1), Relaxed);", SNAPSHOTS),
    ("B7 our own frames are shown", "stack/dwarf.rs", "    recent.begin();\n",
     "    recent.begin();\n    let _ = frames.push(registers.instruction_pointer);\n", UNWINDERS),
    ("B7 a walk that was there once is there again", "stack/recent.rs",
     "== Some(return_address)\n    };", ".min(Some(return_address)).is_some()\n    };", UNWINDERS),
    ("B7 frame pointers are where they were", "stack/recent.rs",
     "(framed_end == 0 || lead_there(", "(true || lead_there(", UNWINDERS),
    ("B7 return addresses are taken for calls", SERVER + "/profile/stacks.rs",
     "(address as u64).saturating_sub(1)", "(address as u64)", [*SERVER_UNITS, "one_is_subtracted_once"]),
    ("B8 samples without a stack are not told", "recorder.rs", "    drops::LOW_STACK.raise();\n", "",
     "stack_room::where_little_stack_is_left"),
    ("D5 a path is what the kernel writes", SERVER + "/mappings/maps.rs",
     "    if stripped.len() == path.len() && !contains_escape(path) {", "    if true {",
     [*SERVER_UNITS, "what_the_kernel_adds_to_a_path"]),
    ("D5 callers are passed by", "stack/calls.rs", "called > function && called <= address", "false",
     "without_tables::what_is_not_verified"),
    ("D5 any frame pointer is believed", "stack/calls.rs", "let Some(function) = caller.and_then(called_function)",
     "let Some(function) = caller.map(|_| address)", "without_tables::verified_frame_pointers"),
    ("D5 stacks that end early are not counted", "recorder.rs", "        drops::CUT_STACKS.raise();\n", "",
     "without_tables::what_is_not_verified"),
    ("D5 program headers are in the first page of a library", "stack/segments.rs",
     "in_page.or_else(|| readable(address, length))?", "in_page?", CHANGED_LIBRARY),
    ("D5 a build id is as far from the headers as in the file", SERVER + "/mappings/images.rs",
     "|offset| self.address_of(base, offset)", "|offset| start.checked_add(offset).filter(|_| self.address_of(base, 0).is_some())",
     CHANGED_LIBRARY),
    ("D5 program headers are in the first page of a file", SERVER + "/mappings/elf_image.rs",
     "read(program_headers(header, endian)?)?", "program_headers(header, endian).and_then(|_| None::<Vec<u8>>)?",
     [*SERVER_UNITS, "headers_and_build_id_are_found_anywhere"]),
    ("D5 a file that cannot be read is called another", SERVER + "/symbols/shortfall.rs",
     "Some(inode) if inode == mapping.inode", "Some(inode) if inode != inode", [*SERVER_UNITS, "is_still_the_one_that_was_started"]),
    ("D5 unwind tables end where the code does", "stack/segments.rs",
     "if address.wrapping_sub(start) >= length {", "if address.wrapping_sub(start) >= length || header.p_flags & PF_X == 0 {",
     "without_tables::whole_stacks"),
    ("B8 cut stacks are not told", "recorder.rs", "        drops::TRUNCATED_STACKS.raise();\n", "",
     "stack_room::deep_recursion"),
    ("B8 samples under the overflow stack are not told", "stacks.rs", "        drops::STACKS_FULL.raise();\n", "",
     "caps::a_million_stacks"),
    ("B8 samples lost to a busy lock are not told", "recorder.rs", "Err(Lost::Busy) => drops::LIVE_BUSY.raise(),",
     "Err(Lost::Busy) => {}", "caps::a_lock_may_be_held_for_ever"),
    ("D7 the error is that of chance alone", "variance.rs", "    weight * (weight - 1.0)\n", "    weight * weight\n", ERRORS),
    ("D7 what lives on makes a change uncertain", "totals.rs", "births.after_snapshot >= number", "true", ERRORS),
    ("D7 what died is forgotten", "totals.rs", "            born + rounded(before - survived, before)\n",
     "            let _ = survived;\n            born + rounded(before * 0.0, before)\n", ERRORS),
    ("D9 time that passed is by the clock that is set", "snapshot/difference.rs",
     "duration: Some(self.taken_at_monotonic.saturating_duration_since(earlier.taken_at_monotonic)),",
     "duration: Some(self.taken_at.duration_since(earlier.taken_at).unwrap_or_default()),",
     ["-p", "pprof-server", "--test", "clock_set"]),
    ("D9 moments are in the order of the clock that is set", SERVER + "/history/moment.rs",
     "self.time.checked_sub(record.age(self.at)).unwrap_or(SystemTime::UNIX_EPOCH)", "record.summary.taken_at",
     ["-p", "pprof-server", "--test", "clock_set"]),
    ("D14 suspects forget what samples weighed", SERVER + "/sources/suspects/method.rs",
     "(self.sampling_variance(from, to) + self.program_variance(from, to)).sqrt()",
     "self.program_variance(from, to).sqrt()", [*SERVER_UNITS, "a_lower_interval_is_no_leak"]),
    ("C1 any number of stacks", "stacks.rs", "(count < limits::stacks())", "(count < usize::MAX)",
     "caps::a_million_stacks"),
    ("C2 one table for all", "live/mod.rs", "const SHARDS: usize = 256;", "const SHARDS: usize = 1;",
     "caps::tables_grow_without_a_stall"),
    ("C3 names are kept without end", SERVER + "/symbols/cache.rs", "if self.bytes > MAX_BYTES {",
     "if self.bytes > usize::MAX - 1 {", [*SERVER_UNITS, "the_cache_is_emptied_when_full"]),
    ("C3 another build's file is asked", SERVER + "/mappings/mapped_file.rs",
     "        false => on_disk.build_id == mapping.build_id,\n", "        false => true,\n",
     [*SERVER_UNITS, "a_file_of_another_build"]),
    ("C4 locks are waited for", "sync.rs", "                if elapsed >= NANOS && patience == Patience::Bounded {\n                    return false;\n                }\n",
     "                let _ = elapsed; tries = SPINS;\n", "caps::a_lock_may_be_held_for_ever"),
    ("C4 memory without a lock is handed out twice", "memory.rs",
     "        let taken = self.next.fetch_update(Relaxed, Relaxed, |next| Some(start_and_end(next)?.1));\n",
     """        let next = self.next.load(Relaxed);
        let taken = start_and_end(next).ok_or(()).map(|(_, end)| { self.next.store(end, Relaxed); next });
""", ["-p", "alloc-profiler", "--lib", "nobody_else_has_a_piece"]),
    ("C5 no memory is a crash", "memory.rs", "(start != libc::MAP_FAILED).then(|| start.expose_provenance())",
     "Some(start.expose_provenance())", "refusals::memory_may_run_out"),
    ("D4 what is recorded is opened anew", SERVER + "/process.rs", "        Some(kept) => kept.status.as_ref()?.text(),\n",
     "        Some(_) => fs::read_to_string(\"/proc/self/status\").ok(),\n", SANDBOXES),
    ("D4 files are opened in a sandbox", SERVER + "/kept_files.rs",
     "!self.opens_in_sandbox && status.text().is_none_or(has_more)", "false && status.text().is_none_or(has_more)", SANDBOXES),
    ("D4 a port in use is tried again in a sandbox", SERVER + "/install.rs", "if kept_files::is_sandboxed() {", "if false {",
     SANDBOXES),
    ("D11 where the main thread's stack is stands in a file", "stack/memory.rs",
     "if main_thread.contains(here) { main_thread } else { this_thread() }", "let _ = (main_thread, here); this_thread()",
     SANDBOXES),
    ("D1 instances of generic code are functions of their own", f"{SERVER}/symbols/v0/mod.rs",
     "        reader.is_generic = reader.peek()", "        reader.is_generic = false && reader.peek()",
     [*SERVER_UNITS, "both_manglings_have_one_name"]),
    ("D1 names are spelled out, whatever their length", f"{SERVER}/symbols/function_name.rs",
     "if let Some(demangled) = v0::demangle(raw) {",
     """if let Some(demangled) = rustc_demangle::try_demangle(raw).ok().filter(|_| raw.starts_with("_R")).map(|name| {
            v0::Demangled { text: format!("{name:#}"), is_whole: true }
        }) {""", [*SERVER_UNITS, "a_name_that_doubles"]),
    ("D1 what differs in the middle is one", f"{SERVER}/symbols/function_name.rs",
     "hash(hashed.unwrap_or(name)) as u32);", "0);", [*SERVER_UNITS, "megabytes_lose_their_middle"]),
    ("D1 an inlined line is another one", f"{SERVER}/writers/table.rs",
     "(frame.function.clone(), frame.file.clone(), frame.line)",
     "(format!(\"{}{}\", frame.function, frame.is_inlined), frame.file.clone(), frame.line)",
     [*SERVER_UNITS, "a_line_is_one_whoever_took_it_in"]),
    ("D15 a removal that was postponed is done although realloc failed", "live/mod.rs",
     "if taken.is_postponed && shard(taken.address).postponed.cancel(taken.address) {", "if false {",
     "contract::a_realloc_that_fails_while_a_lock_is_held"),
    ("D15 a removal is done that was put off for good", "live/postponed.rs",
     "if place.compare_exchange(address, EMPTY, AcqRel, Relaxed).is_ok() {\n                remove(address);",
     "place.store(EMPTY, Release);\n            {\n                remove(address);", MODEL),
    ("D15 allocators around one another count twice", "allocator.rs",
     "match sampling_levels::<A>() {", "match 0 & sampling_levels::<A>() {",
     "contract::allocators_around_one_another"),
    ("D15 bytes that are counted twice are half as many", "sampler.rs", "interval as f64 * LEVELS.load(Relaxed) as f64",
     "interval as f64", "contract::allocators_around_one_another"),
    ("D15 records that another block took are not told", "drops.rs", "replaced_records: DUPLICATE_INSERTS.get(),",
     "replaced_records: 0,", "contract::a_pool_over_the_global_allocator"),
    ("D15 a pause that a handler comes into has no end", "sampler.rs",
     "            let found = thread.stop();\n            thread.pauses.set(thread.pauses.get().saturating_add(1));\n",
     "            thread.pauses.set(thread.pauses.get().saturating_add(1));\n            let found = thread.stop();\n",
     "single_step::in_a_pause"),
    ("D15 a handler comes into a decision", "sampler.rs",
     "if countdown < 0 && thread.nested.get() < MAX_NESTED {", "if false {", "single_step::estimates_stay_right"),
    ("D6 a default release build is not told", SERVER + "/sources/heap/notes/losses.rs", "    (\"symbols\", program_symbols),\n", "",
     ["-p", "pprof-server", "--test", "other_builds", "a_default_release_build"]),
    ("D2 the worker's failure is the program's panic", SERVER + "/http/transport/connections.rs", "        bound.check_room()?;\n", "",
     [*LIFE, "no_failure_anywhere"]),
    ("D3 our threads take signals", "threads.rs", "    let _blocked = Blocked::begin();\n", "",
     ["-p", "alloc-profiler", "--lib", "all_but_those_of_faults"]),
    ("D8 the parent's sockets stay open", "fork.rs", "    crate::descriptors::begin_anew(alone);\n", "    let _ = crate::descriptors::begin_anew;\n",
     ["-p", "alloc-profiler", "--lib", "children_close_what"]),
    ("D15 who waits is cut when the server stops", SERVER + "/http/transport/server.rs",
     "            self.handler.join();\n            if own", "            if own",
     [*SERVER_UNITS, "nobody_is_left_without_an_answer"]),
    ("D6 nor at the start", SERVER + "/install.rs", "    tell_what_is_missing();\n", "",
     ["-p", "pprof-server", "--test", "other_builds", "a_default_release_build"]),
    ("D6 stacks that could not be taken are not told", SERVER + "/sources/heap/notes/losses.rs",
     "    (\"unknown_stack\", unknown_stack),\n", "", [*SERVER_UNITS, "stacks_that_could_not_be_taken"]),
    ("D6 names that are missing are not told", SERVER + "/sources/heap/notes/evidence.rs",
     "(Lack::Name, Home::Library) => found.unnamed = Some(gap),", "(Lack::Name, Home::Library) => {}",
     [*SERVER_UNITS, "names_that_are_missing"]),
    ("D12 whatever malloc is there is taken for glibc's", "malloc_stats.rs",
     "object_of(malloc as *const c_void) == c_library\n", "(object_of(malloc as *const c_void), true).1\n",
     ["-p", "pprof-server", "--test", "figures", "another_malloc"]),
    ("D12 figures of nothing are told", SERVER + "/http/response/metrics.rs", "is_known.then_some(totals)", "Some(totals).filter(|_| is_known || true)",
     [*SERVER_UNITS, "what_nobody_has_looked_at"]),
    ("D12 the classic format ends as OpenMetrics does", SERVER + "/http/request/accept_header.rs", " || line == \"# EOF\"", "",
     ["-p", "pprof-server", "--test", "figures", "a_scraper_gets"]),
    ("D13 an address is answered each time", SERVER + "/http/response/symbol.rs",
     "addresses.retain(|address| seen.insert(*address));", "addresses.retain(|address| seen.insert(*address) || true);",
     [*SERVER_UNITS, "an_address_that_comes_again"]),
    ("D13 an answer to symbol has no bound", SERVER + "/http/response/symbol.rs",
     "BoundedText::new(MAX_ANSWER_BYTES)", "BoundedText::new(usize::MAX)", [*SERVER_UNITS, "an_answer_is_bounded"]),
    ("D13 figures wait for names", SERVER + "/http/handler/mod.rs", "run(Lane::Figures, text)", "run(Lane::Names, text)",
     [*SERVER_UNITS, "who_needs_no_names"]),
    ("D13 a text is measured when it is there", SERVER + "/writers/bounded.rs",
     "if part.len() > self.max_bytes - self.text.len() {", "if part.len() > self.max_bytes {",
     [*SERVER_UNITS, "a_line_is_there_or_not"]),
    ("D13 free pages are given back without pause", SERVER + "/http/response/profile.rs", ">= 9 * self.took", ">= 0 * self.took",
     [*SERVER_UNITS, "in_a_tenth_of_the_time"]),
    ("D12 stacks with nothing in use have rows", SERVER + "/writers/table.rs",
     "    stacks.retain(|(_, (totals, _))| sample_type.of(totals).round() != 0.0);\n", "",
     [*SERVER_UNITS, "stacks_with_nothing_of"]),
]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    stale = [name for name, file, old, *_ in MUTANTS if (root / SOURCES / file).read_text().count(old) != 1]
    if stale:
        sys.exit(f"mutants: what is to be replaced is not there once: {', '.join(stale)}")
    if "--check" in sys.argv[1:]:
        return
    words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant[0] for word in words)]
    environment = dict(os.environ, CARGO_TARGET_DIR=os.environ.get("MUTANTS_TARGET_DIR", str(root / "target/mutants")))
    environment["RUST_BACKTRACE"] = "0"
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = pathlib.Path(folder) / "copy"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("target", ".git"))
        for name, file, old, new, test in chosen:
            source = copy / SOURCES / file
            original = source.read_text()
            source.write_text(original.replace(old, new))
            if test == MODEL:
                build = ["cargo", "build", "-q", "--release", "--manifest-path", "tests/model/Cargo.toml"]
                run = [MODEL]
            elif test in (NO_PANIC, FAST_PATH):
                build, run = ["cargo", "build", "-q", "-p", "alloc-profiler"], [test]
            else:
                test = ["-p", "workspace-tests", "--test", "hazards", test] if isinstance(test, str) else test
                build, run = ["cargo", "test", "-q", "--no-run", *test], ["cargo", "test", "-q", *test]
            # What does not compile proves nothing.
            subprocess.run(build, cwd=copy, env=environment, check=True, stderr=subprocess.DEVNULL)
            done = subprocess.run(run, cwd=copy, env=environment, capture_output=True, text=True, errors="replace")
            is_caught = done.returncode != 0 and COMPLAINTS.get(run[0], "") in done.stdout + done.stderr
            print(f"{'caught  ' if is_caught else 'SURVIVED'}  {name}: {run[-1]}", flush=True)
            if not is_caught:
                survivors.append(name)
            source.write_text(original)
    sys.exit(f"mutants: {len(survivors)} survived" if survivors else 0)


if __name__ == "__main__":
    main()
