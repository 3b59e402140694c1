//! This writes a trace in the processed format of Firefox Profiler, which Perfetto opens too.
//!
//! Each function on a stack is a frame with a name and no line, since the crate that knows the format has none for frames that are
//! named already. Blocks are on the first thread, where the viewer looks for those of all threads.
//!
//! Path: *read path*. Cost: it takes a microsecond for each event, and the memory of the text twice.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, UNIX_EPOCH};

use capture::LockEventKind;
use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CategoryPairHandle, CpuDelta, Frame, FrameFlags, FrameInfo,
    MarkerFieldFlags, MarkerFieldFormat, MarkerTiming, ProcessHandle, Profile, ReferenceTimestamp,
    SamplingInterval, StackHandle, StaticSchemaMarker, StaticSchemaMarkerField, StringHandle, ThreadHandle,
    Timestamp,
};

use crate::profile::Frames;
use crate::symbols::role::Role;
use crate::trace::{BlockEvent, MemoryPoint, Sample, Thread, Trace, Wait};

/// Returns the trace as JSON, or `None` if that would be longer than `max_bytes`, or if there is no memory for it.
pub(crate) fn json(trace: &Trace, max_bytes: usize) -> Option<Vec<u8>> {
    let mut text = Bounded { bytes: Vec::new(), max_bytes };
    serde_json::to_writer(&mut text, &Writer::of(trace).profile).ok()?;
    Some(text.bytes)
}

/// Takes so many bytes at most.
struct Bounded {
    bytes: Vec<u8>,
    max_bytes: usize,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > self.max_bytes {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.try_reserve(part.len()).map_err(|_| ErrorKind::OutOfMemory)?;
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts a trace into the tables of the format.
struct Writer<'a> {
    trace: &'a Trace,
    profile: Profile,
    process: ProcessHandle,
    threads: HashMap<u32, ThreadHandle>,
    /// The stacks that a thread has already, by their indices.
    stacks: HashMap<(ThreadHandle, usize), Option<StackHandle>>,
    /// This is the category of what somebody wrote to do just this.
    code: CategoryPairHandle,
    /// This is the category of the standard library, the allocator and the like.
    plumbing: CategoryPairHandle,
    locks: CategoryHandle,
    states: CategoryHandle,
}

fn at(time: Duration) -> Timestamp {
    Timestamp::from_nanos_since_reference(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Returns the name of the program's file.
fn program() -> String {
    let file = std::env::current_exe().ok();
    let name =
        file.as_ref().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "program".to_owned())
}

impl<'a> Writer<'a> {
    fn of(trace: &'a Trace) -> Writer<'a> {
        let started = trace.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (started, name) = (ReferenceTimestamp::from_duration_since_unix_epoch(started), program());
        let mut profile = Profile::new(&name, started, SamplingInterval::from(trace.period));
        // Names were looked up here, and are not to be looked up elsewhere.
        profile.set_symbolicated(true);
        profile.set_os_name(std::env::consts::OS);
        let mut category = |name, color| profile.add_category(name, color);
        let code = category("Code", CategoryColor::Blue);
        let plumbing = category("Standard library and runtime", CategoryColor::Gray);
        let locks = category("Locks", CategoryColor::Red);
        let states = category("Thread states", CategoryColor::Green);
        let process = profile.add_process(&name, std::process::id(), at(Duration::ZERO));
        profile.set_process_end_time(process, at(trace.duration));
        let mut writer = Writer {
            trace,
            profile,
            process,
            threads: HashMap::new(),
            stacks: HashMap::new(),
            code: code.into(),
            plumbing: plumbing.into(),
            locks,
            states,
        };
        writer.write();
        writer
    }

    fn write(&mut self) {
        let trace = self.trace;
        let main = std::process::id();
        // The first thread is the one that blocks are told on, and the main one as a rule.
        let (first, others): (Vec<&Thread>, Vec<&Thread>) =
            trace.threads.iter().partition(|thread| thread.id == main);
        first.into_iter().chain(others).for_each(|thread| self.add_thread(thread));
        trace.samples.iter().for_each(|sample| self.add_sample(sample));
        trace.waits.iter().for_each(|wait| self.add_wait(wait));
        if let Some(first) = trace.threads.iter().find(|thread| thread.id == main).or(trace.threads.first())
            && let Some(&thread) = self.threads.get(&first.id)
        {
            trace.blocks.iter().for_each(|event| self.add_block(thread, event));
            trace.notes.iter().for_each(|note| self.add_note(thread, note));
            self.profile.add_initial_visible_thread(thread);
        }
        for thread in &trace.threads {
            let is_visible =
                thread.id != main && trace.samples.iter().any(|sample| sample.thread_id == thread.id);
            if let Some(&handle) = self.threads.get(&thread.id).filter(|_| is_visible) {
                self.profile.add_initial_visible_thread(handle);
            }
        }
        self.add_counter("in use", "Allocated and not freed: an estimate from samples", |point| {
            point.inuse_bytes
        });
        self.add_counter("resident", "Memory of the process that is resident", |point| {
            point.resident_bytes.map(|bytes| bytes as f64)
        });
    }

    fn add_thread(&mut self, thread: &Thread) {
        let is_main = thread.id == std::process::id();
        let handle = self.profile.add_thread(self.process, thread.id, at(thread.start), is_main);
        self.profile.set_thread_name(handle, &thread.name);
        self.profile.set_thread_end_time(handle, at(thread.end));
        self.profile.set_thread_show_markers_in_timeline(handle, true);
        self.threads.insert(thread.id, handle);
        for span in &thread.states {
            let name = self.profile.intern_string(span.state.name());
            let marker = StateMarker { name, category: self.states };
            self.profile.add_marker(handle, MarkerTiming::Interval(at(span.start), at(span.end)), marker);
        }
    }

    fn add_sample(&mut self, sample: &Sample) {
        let Some(&thread) = self.threads.get(&sample.thread_id) else { return };
        let stack = self.stack(thread, sample.stack, Frames::All);
        let periods = u32::try_from(sample.periods).unwrap_or(u32::MAX);
        let used = self.trace.period.saturating_mul(periods);
        let used = CpuDelta::from_nanos(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX));
        let weight = i32::try_from(periods).unwrap_or(i32::MAX);
        self.profile.add_sample(thread, at(sample.at), stack, used, weight);
    }

    fn add_wait(&mut self, wait: &Wait) {
        let Some(&thread) = self.threads.get(&wait.thread_id) else { return };
        let (name, timing) = match wait.kind {
            LockEventKind::Waited => {
                let start = wait.at.saturating_sub(wait.waited);
                ("waited for a lock", MarkerTiming::Interval(at(start), at(wait.at)))
            }
            _ => ("ended a wait", MarkerTiming::Instant(at(wait.at))),
        };
        let stack = wait.stack.and_then(|stack| self.stack(thread, stack, Frames::Waits));
        let name = self.profile.intern_string(name);
        let marker = LockMarker { name, category: self.locks, waited: wait.waited };
        let marker = self.profile.add_marker(thread, timing, marker);
        self.profile.set_marker_stack(thread, marker, stack);
    }

    fn add_block(&mut self, thread: ThreadHandle, event: &BlockEvent) {
        // As in a heap profile, the allocator and what called it for the user's function are left out.
        let stack = event.stack.and_then(|stack| self.stack(thread, stack, Frames::UserFirst));
        let bytes = event.bytes.round() as i64;
        self.profile.add_allocation_sample(thread, at(event.at), stack, event.block, bytes);
    }

    fn add_note(&mut self, thread: ThreadHandle, note: &str) {
        let (name, text) = (self.profile.intern_string("note"), self.profile.intern_string(note));
        let marker = NoteMarker { name, text };
        self.profile.add_marker(thread, MarkerTiming::Instant(at(Duration::ZERO)), marker);
    }

    /// A counter has differences. What is not known at a moment is left out there, and a counter of which nothing is known, altogether.
    fn add_counter(&mut self, name: &str, description: &str, value: impl Fn(&MemoryPoint) -> Option<f64>) {
        let known = self.trace.memory.iter().filter_map(|point| Some((point.at, value(point)?)));
        let known: Vec<(Duration, f64)> = known.collect();
        if known.is_empty() {
            return;
        }
        let counter = self.profile.add_counter(self.process, name, "Memory", description);
        let mut before = 0.0;
        for (time, value) in known {
            self.profile.add_counter_sample(counter, at(time), value - before, 0);
            before = value;
        }
    }

    /// The stack of that index, as a thread has it.
    fn stack(&mut self, thread: ThreadHandle, index: usize, shown: Frames) -> Option<StackHandle> {
        if let Some(known) = self.stacks.get(&(thread, index)) {
            return *known;
        }
        let stacks = &self.trace.stacks;
        let mut functions = Vec::new();
        for location in stacks.shown(index, shown).locations() {
            let lines = stacks.lines(location);
            functions.extend(lines.iter().map(|line| (line.function.name.to_string(), line.function.role)));
            if lines.is_empty() {
                functions.push((format!("{:#x}", stacks.address(location.place)), Role::User));
            }
        }
        let mut stack = None;
        for (name, role) in functions.into_iter().rev() {
            let frame = Frame::Label(self.profile.intern_string(&name));
            let category_pair = if role == Role::User { self.code } else { self.plumbing };
            let frame = FrameInfo { frame, category_pair, flags: FrameFlags::empty() };
            let frame = self.profile.intern_frame(thread, frame);
            stack = Some(self.profile.intern_stack(thread, stack, frame));
        }
        self.stacks.insert((thread, index), stack);
        stack
    }
}

/// What a thread was doing.
struct StateMarker {
    name: StringHandle,
    category: CategoryHandle,
}

impl StaticSchemaMarker for StateMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "ThreadState";
    const DESCRIPTION: Option<&'static str> =
        Some("What the thread was doing, as it was seen ten times a second");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[];

    fn name(&self, _: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.name
    }

    fn number_field_value(&self, _: u32) -> f64 {
        0.0
    }
}

/// A wait for a lock, or what ended it.
struct LockMarker {
    name: StringHandle,
    category: CategoryHandle,
    waited: Duration,
}

impl StaticSchemaMarker for LockMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "Lock";
    const DESCRIPTION: Option<&'static str> =
        Some("A wait for a lock, a channel or another thread, or what ended such waits");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.name}: {marker.data.waited}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "waited",
        label: "Waited by all together",
        format: MarkerFieldFormat::Duration,
        flags: MarkerFieldFlags::empty(),
    }];

    fn name(&self, _: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.name
    }

    fn number_field_value(&self, _: u32) -> f64 {
        self.waited.as_secs_f64() * 1000.0
    }
}

/// Says something of the whole trace.
struct NoteMarker {
    name: StringHandle,
    text: StringHandle,
}

impl StaticSchemaMarker for NoteMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "Note";
    const DESCRIPTION: Option<&'static str> = Some("How sure the trace is, and what it lacks");
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.text}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.data.text}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "text",
        label: "Note",
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }];

    fn name(&self, _: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        CategoryHandle::OTHER
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.text
    }

    fn number_field_value(&self, _: u32) -> f64 {
        0.0
    }
}
