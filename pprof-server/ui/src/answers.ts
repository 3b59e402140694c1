// Made from ../../schema/answers.schema.json by `npm run build`: change that file, and not this one.

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
 * The answer of leaks?format=json: the stacks that may leak, the surest first.
 */
export interface Leaks {
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  /**
   * The time that was looked at.
   */
  window_seconds: number;
  /**
   * The number of snapshots that were looked at, that of now included.
   */
  records: number;
  notes: string[];
  suspects: Suspect[];
}
/**
 * A stack whose memory in use grows.
 */
export interface Suspect {
  kind: 'leak' | 'backlog' | 'slowing' | 'burst';
  growth_bytes: number;
  growth_bytes_per_hour: number;
  /**
   * One standard error of `growth_bytes_per_hour`.
   */
  growth_error_bytes_per_hour: number;
  /**
   * The growth, divided by what chance would make of it.
   */
  z: number;
  /**
   * One standard error of `inuse_space`; null if there are no samples.
   */
  inuse_space_error_bytes: number | null;
  inuse_space: number;
  inuse_objects: number;
  inuse_samples: number;
  age: Age | null;
  /**
   * The bytes in use in each snapshot that was looked at, the oldest first.
   */
  history_inuse_space: number[];
  /**
   * The leaf is the first.
   */
  stack: Frame[];
}
/**
 * The answer of history: the time line of what the server recorded by itself.
 */
export interface History {
  /**
   * The time between two records. 0: nothing is recorded.
   */
  period_seconds: number;
  /**
   * The memory that the records take.
   */
  held_bytes: number;
  /**
   * The memory that the records may take.
   */
  limit_bytes: number;
  now: Recorded;
  /**
   * The oldest is the first.
   */
  records: Recorded[];
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
   * `full`, or a sentence that says why names are missing.
   */
  symbols: string;
  /**
   * A regular expression that finds the functions of the standard library, of allocators and of runtimes, and those in which threads begin, by name or file. `go tool pprof -hide` and JavaScript read it.
   */
  plumbing: string;
}
/**
 * The figures of one moment.
 */
export interface Recorded {
  /**
   * A time since 1970 UTC.
   */
  time_nanos: number;
  inuse_space: number;
  inuse_objects: number;
  alloc_space: number;
  alloc_objects: number;
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
   * The limit of the control group; null if there is none.
   */
  memory_limit_bytes: number | null;
  sampling_interval_bytes: number;
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
