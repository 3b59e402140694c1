// Made from ../../schema/answers.schema.json by `npm run build`: change that file, and not this one.

/**
 * What a group that grew is suspected of.
 */
export type Kind = 'leak' | 'growing' | 'backlog' | 'slowing' | 'burst';
/**
 * A moment that has a name.
 */
export type Mark = Recorded & {
  name: string;
};

/**
 * The answer of heap?format=json and allocs?format=json: the stacks with the largest values. `other` is the sum of all stacks that have no row, so the rows and it make `total`.
 */
export interface Heap {
  profile: 'heap' | 'allocs';
  /**
   * The value by which rows are ordered, the largest first.
   */
  ordered_by: 'alloc_objects' | 'alloc_space' | 'inuse_objects' | 'inuse_space';
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  /**
   * The time between the two ends of a difference; null for a snapshot.
   */
  duration_nanos: number | null;
  /**
   * The mean number of bytes between samples. 1: every allocation is sampled. 0: sampling is off.
   */
  sampling_interval_bytes: number;
  /**
   * The number of distinct stacks, with or without a row.
   */
  stacks: number;
  /**
   * The number of those stacks that have nothing of `ordered_by`, and so no row.
   */
  idle_stacks: number;
  total: Sums;
  total_errors: Errors;
  rows: Row[];
  other: Sums;
  other_errors: Errors;
  /**
   * Sentences that say how sure the figures are, and what is missing.
   */
  notes: string[];
}
/**
 * As Values, of several stacks together. The estimates are null if nothing could be sampled, because then they are not known: the profiler's allocator is not installed, or sampling is off.
 */
export interface Sums {
  alloc_objects: number | null;
  alloc_space: number | null;
  inuse_objects: number | null;
  inuse_space: number | null;
  alloc_samples: number;
  inuse_samples: number;
}
/**
 * One standard error of each estimate: 0 if every sample was taken with certainty, null if there are no samples.
 */
export interface Errors {
  alloc_objects: number | null;
  alloc_space: number | null;
  inuse_objects: number | null;
  inuse_space: number | null;
}
/**
 * All that was allocated on one stack.
 */
export interface Row {
  values: Values;
  errors: Errors;
  age: Age | null;
  /**
   * The leaf is the first.
   */
  stack: Frame[];
}
/**
 * Estimates for the whole program, and the numbers of samples on which they rest. In a difference they may be negative.
 */
export interface Values {
  alloc_objects: number;
  alloc_space: number;
  inuse_objects: number;
  inuse_space: number;
  alloc_samples: number;
  inuse_samples: number;
}
/**
 * The age of what is in use now. A row has null instead if nothing is in use, and for a past moment.
 */
export interface Age {
  median_seconds: number;
  max_seconds: number;
}
/**
 * A function on a stack.
 */
export interface Frame {
  /**
   * Its name, as its author would write it.
   */
  function: string;
  /**
   * Its source file; empty if unknown.
   */
  file: string;
  /**
   * The line in that file; 0 if unknown.
   */
  line: number;
  /**
   * Whether the function was inlined into the next frame.
   */
  is_inlined: boolean;
}
/**
 * The answer of holders?format=json: the chains of holders with the most bytes in use. A stack is a chain: its first frame is the site of the blocks, its last frame is what begins the chain. `other` is the sum of all chains that have no row, so the rows and it make `total`.
 */
export interface Holders {
  profile: 'holders';
  /**
   * The value by which rows are ordered, the largest first.
   */
  ordered_by: 'inuse_space';
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  /**
   * The time between the two ends of a difference; null for a snapshot.
   */
  duration_nanos: number | null;
  /**
   * The mean number of bytes between samples. 1: every allocation is sampled. 0: sampling is off.
   */
  sampling_interval_bytes: number;
  /**
   * The number of distinct stacks, with or without a row.
   */
  stacks: number;
  /**
   * The number of those stacks that have nothing of `ordered_by`, and so no row.
   */
  idle_stacks: number;
  total: NamedSums;
  total_errors: NamedErrors;
  rows: ProfileRow[];
  other: NamedSums;
  other_errors: NamedErrors;
  /**
   * Sentences that say how sure the figures are, and what is missing.
   */
  notes: string[];
}
/**
 * As NamedValues, of several stacks together. Values are null if nothing was measured.
 */
export interface NamedSums {
  [k: string]: number | null;
}
/**
 * One standard error of each value: 0 if it was counted, null if there are no samples.
 */
export interface NamedErrors {
  [k: string]: number | null;
}
/**
 * All that was found on one stack.
 */
export interface ProfileRow {
  values: NamedValues;
  errors: NamedErrors;
  /**
   * The age of the tasks, in goroutine; null for threads and in other profiles, where it is not known.
   */
  age: Age | null;
  /**
   * The leaf is the first.
   */
  stack: Frame[];
}
/**
 * Values by their names, such as `samples` and `cpu`, in counts and nanoseconds, and the number of samples on which they rest: `signals` in `profile`, `samples` in `goroutine` and `goroutineleak`, `threads` in `threadcreate`, `dumps` in `fgprof`, `wait_samples` in `block` and `mutex`.
 */
export interface NamedValues {
  [k: string]: number;
}
/**
 * The answer of profile?format=json, and of goroutine, goroutineleak, threadcreate, fgprof, block and mutex: the stacks with the largest values. `other` is the sum of all stacks that have no row, so the rows and it make `total`.
 */
export interface Profile {
  profile: 'profile' | 'goroutine' | 'goroutineleak' | 'threadcreate' | 'fgprof' | 'block' | 'mutex';
  /**
   * The value by which rows are ordered, the largest first.
   */
  ordered_by: 'cpu' | 'goroutine' | 'goroutineleak' | 'threadcreate' | 'time' | 'delay';
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  /**
   * The time that was looked at; null for what is there now.
   */
  duration_nanos: number | null;
  /**
   * What lies between two samples: nanoseconds of a thread's CPU time in `profile`, and 1 in the others, which count everything.
   */
  period: number;
  /**
   * The number of distinct stacks, with or without a row.
   */
  stacks: number;
  /**
   * The number of those stacks that have nothing of `ordered_by`, and so no row.
   */
  idle_stacks: number;
  total: NamedSums;
  total_errors: NamedErrors;
  rows: ProfileRow[];
  other: NamedSums;
  other_errors: NamedErrors;
  /**
   * Sentences that say how sure the figures are, and what is missing.
   */
  notes: string[];
}
/**
 * The answer of leaks?format=json: the groups that may leak, the surest first. A group is one or several stacks that have the same functions and lines of the program's own code.
 */
export interface Leaks {
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  /**
   * The time that was looked at: from the first snapshot to now.
   */
  window_seconds: number;
  /**
   * The number of snapshots that were looked at, that of now included.
   */
  records: number;
  /**
   * If it is too early for a verdict, the time until there is one, about; then `suspects` has what grew until now, which may be chance. Otherwise null.
   */
  first_verdict_in_seconds: number | null;
  /**
   * How long ago each snapshot was taken that was looked at, the oldest first; the last one is 0.
   */
  history_ages_seconds: number[];
  /**
   * What each kind means, the surest leak first.
   */
  kinds: KindWords[];
  notes: string[];
  /**
   * null if nothing could be sampled, because then nothing is known: the profiler's allocator is not installed, or sampling is off.
   */
  suspects: Suspect[] | null;
}
/**
 * What a kind is called, what it means, and what to do about it.
 */
export interface KindWords {
  kind: Kind;
  title: string;
  meaning: string;
  next_step: string;
}
/**
 * A group whose memory in use grows, or grew and has stopped.
 */
export interface Suspect {
  kind: Kind;
  /**
   * By how much it grew from `since_nanos` to `until_nanos`, or to now.
   */
  growth_bytes: number;
  /**
   * One standard error of `growth_bytes`: 0 if every sample was taken with certainty.
   */
  growth_error_bytes: number;
  /**
   * The time in which it grew so much.
   */
  growth_seconds: number;
  /**
   * The last moment before it grew, since 1970 UTC.
   */
  since_nanos: number;
  /**
   * When it stopped growing, since 1970 UTC; null if it still grows.
   */
  until_nanos: number | null;
  /**
   * Whether it grew already when the first snapshot was taken that was looked at, and so perhaps before.
   */
  is_older: boolean;
  /**
   * The window by which it is called so: this long, until now.
   */
  window_seconds: number;
  /**
   * null if it has stopped growing.
   */
  growth_bytes_per_hour: number | null;
  /**
   * One standard error of `growth_bytes_per_hour`.
   */
  growth_error_bytes_per_hour: number | null;
  /**
   * The time until it fills the memory that its limit leaves, if it goes on like this; null if there is no limit, if it has stopped, or if it may be chance.
   */
  full_in_seconds: number | null;
  /**
   * The growth, divided by what chance would make of it.
   */
  z: number;
  /**
   * What `z` means, in words.
   */
  sureness: string;
  /**
   * One standard error of `inuse_space`; null if there are no samples.
   */
  inuse_space_error_bytes: number | null;
  inuse_space: number;
  inuse_objects: number;
  inuse_samples: number;
  age: Age | null;
  /**
   * What holds the blocks, in words: it is left out unless holders=1 asked for it and it is known.
   */
  held_by?: string;
  /**
   * The bytes in use in each snapshot that was looked at, the oldest first; `history_ages_seconds` tells when.
   */
  history_inuse_space: number[];
  /**
   * The heaviest stack, the leaf first. It is empty beyond the rows that were asked for.
   */
  stack: Frame[];
  /**
   * The index in `stack` of the frame by which a person would name the group: the first of the program's own code, or the leaf.
   */
  named_frame: number;
  /**
   * The number of its stacks that differ in functions or lines.
   */
  stack_count: number;
  /**
   * The heaviest of them, at most five; the first is `stack`.
   */
  stacks: SuspectStack[];
  /**
   * The tasks that the function of the suspect has spawned, or that run it; null if none are known, or if a surer suspect of the same function has them.
   */
  tasks: SuspectTasks | null;
}
/**
 * One of the stacks of a suspect.
 */
export interface SuspectStack {
  inuse_space: number;
  /**
   * `inuse_space` by that of the suspect.
   */
  share: number;
  /**
   * The leaf is the first.
   */
  stack: Frame[];
}
/**
 * Tasks of a suspect, as estimated from the heap's samples.
 */
export interface SuspectTasks {
  /**
   * When it was looked where they wait, since 1970 UTC. That may be some time before the report.
   */
  looked_at_nanos: number;
  count: number;
  /**
   * One standard error of `count`: 0 if every allocation was sampled.
   */
  error: number;
  /**
   * The number of sampled tasks on which `count` rests.
   */
  samples: number;
  /**
   * How many more there are than at `since_nanos`, by what the same functions have spawned; null if nothing tells who spawned them.
   */
  growth: number | null;
  /**
   * One standard error of `growth`.
   */
  growth_error: number | null;
  /**
   * The number of places where they wait, with those that `waits` does not have.
   */
  wait_count: number;
  /**
   * The places with the most tasks, at most five.
   */
  waits: TaskWait[];
}
/**
 * Tasks that wait at one place and were spawned by one function.
 */
export interface TaskWait {
  count: number;
  /**
   * One standard error of `count`.
   */
  error: number;
  /**
   * The number of sampled tasks on which `count` rests.
   */
  samples: number;
  age: Age | null;
  /**
   * The function that spawned them; empty if it is not known.
   */
  spawned_by: string;
  /**
   * The functions that wait for one another, the innermost first; empty if they are not known.
   */
  stack: Frame[];
}
/**
 * The answer of history: the time line of what the server recorded by itself.
 */
export interface History {
  /**
   * A text that is another one when the program has been started anew.
   */
  instance: string;
  /**
   * When the program was started, since 1970 UTC, to some hundredths of a second; null if unknown.
   */
  process_start_nanos: number | null;
  /**
   * The longest time between two records. 0: nothing is recorded.
   */
  period_seconds: number;
  /**
   * The time between two records at present. 0: nothing is recorded.
   */
  pause_seconds: number;
  /**
   * The memory that the records take.
   */
  held_bytes: number;
  /**
   * The memory that the records may take.
   */
  limit_bytes: number;
  /**
   * Why the past has fewer moments than it should, and what to do about it, a sentence each.
   */
  notes: string[];
  now: Recorded;
  /**
   * The oldest is the first.
   */
  records: Recorded[];
  points: Points;
  marks: Mark[];
  /**
   * The mean number of bytes between samples. 1: every allocation is sampled. 0: sampling is off.
   */
  sampling_interval_bytes: number;
  /**
   * Whether a SamplingAllocator is the global allocator.
   */
  is_installed: boolean;
  dropped: Dropped;
  own_memory: OwnMemory;
  /**
   * `full`, or sentences that say what the files of the program and of libraries on the stacks lack to name functions by.
   */
  symbols: string;
  /**
   * A regular expression that finds the functions of the standard library, of allocators and of runtimes, and those in which threads begin, by name or file. `go tool pprof -hide` and JavaScript read it.
   */
  plumbing: string;
  /**
   * A regular expression that finds the functions of other people's crates and of libraries by file, so that with `plumbing` only the program's own functions are left.
   */
  libraries: string;
}
/**
 * The figures of one moment. The estimates are null if nothing could be sampled, because then they are not known: the profiler's allocator is not installed, or sampling is off.
 */
export interface Recorded {
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  inuse_space: number | null;
  inuse_objects: number | null;
  alloc_space: number | null;
  alloc_objects: number | null;
  inuse_samples: number;
  /**
   * One standard error of `inuse_space`: 0 if every sample was taken with certainty, null if there are no samples.
   */
  inuse_space_error_bytes: number | null;
  /**
   * Resident memory of the process; null if unknown.
   */
  rss_bytes: number | null;
  /**
   * Memory of the process's control group, page cache and other processes included; null if unknown.
   */
  memory_usage_bytes: number | null;
  /**
   * The limit of the control group; null if there is none.
   */
  memory_limit_bytes: number | null;
  sampling_interval_bytes: number;
}
/**
 * The points of the time line, about a second apart at first and further apart the older they are. Each column has a figure for each point, and the oldest is the first. A figure is null if it is unknown.
 */
export interface Points {
  /**
   * Times since 1970 UTC, to a thousandth of a second.
   */
  time_seconds: number[];
  /**
   * Bytes in use, as estimated.
   */
  inuse_space: (number | null)[];
  /**
   * One standard error of `inuse_space`.
   */
  inuse_space_error_bytes: (number | null)[];
  /**
   * Bytes that were ever allocated, as estimated. Between two points it grows by what was allocated there.
   */
  alloc_space: (number | null)[];
  /**
   * Resident memory of the process.
   */
  rss_bytes: (number | null)[];
  /**
   * Memory of the process's control group, page cache and other processes included.
   */
  memory_usage_bytes: (number | null)[];
  /**
   * The limit of that group and those around it; null also if there is none.
   */
  memory_limit_bytes: (number | null)[];
}
/**
 * The numbers of samples that were lost or cut, by reason.
 */
export interface Dropped {
  stacks_full: number;
  live_full: number;
  live_busy: number;
  missed_removals: number;
  low_stack: number;
  truncated_stacks: number;
  cut_stacks: number;
  no_stack: number;
  replaced_records: number;
}
/**
 * What the profiler itself holds.
 */
export interface OwnMemory {
  mapped_bytes: number;
  limit_bytes: number;
  stacks: number;
  live_samples: number;
}
