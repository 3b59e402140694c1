// The server's answers, and how they are asked for. Everything is relative to the page, so that it works behind any
// prefix, and only this host is ever asked.

import { decode, type Profile } from './profile';
import type { SampleType } from './sample_type';
import type { Moment } from './view';

/** Of one moment. Times are since 1970 UTC. */
export interface Recorded {
  time_nanos: number;
  inuse_space: number;
  inuse_objects: number;
  alloc_space: number;
  alloc_objects: number;
  inuse_samples: number;
  /** One standard error of `inuse_space`; 0 where every sample was taken with certainty, `null` where there is none. */
  inuse_space_error_bytes: number | null;
  rss_bytes: number | null;
  memory_limit_bytes: number | null;
}

export interface Mark {
  name: string;
  time_nanos: number;
}

export interface History {
  /** 0: nothing is recorded. */
  period_seconds: number;
  held_bytes: number;
  limit_bytes: number;
  now: Recorded;
  records: Recorded[];
  marks: Mark[];
  sampling_interval_bytes: number;
  is_installed: boolean;
  dropped: Record<'stacks_full' | 'live_full' | 'live_busy' | 'missed_removals' | 'low_stack' | 'truncated_stacks' | 'cut_stacks' | 'no_stack' | 'replaced_records', number>;
  own_memory: { mapped_bytes: number; limit_bytes: number; stacks: number; live_samples: number };
  /** `full`, or why there are none. */
  symbols: string;
}

export interface Place {
  function: string;
  file: string;
  line: number;
  is_inlined: boolean;
}

export interface Age {
  median_seconds: number;
  max_seconds: number;
}

export interface Figures {
  alloc_objects: number;
  alloc_space: number;
  inuse_objects: number;
  inuse_space: number;
  alloc_samples: number;
  inuse_samples: number;
}

/** One standard error of each; `null` where there are no samples. */
export type Errors = Record<'alloc_objects' | 'alloc_space' | 'inuse_objects' | 'inuse_space', number | null>;

export interface Row {
  values: Figures;
  errors?: Errors;
  /** Leaf first. */
  stack: Place[];
  age?: Age | null;
}

export interface Table {
  time_nanos: number;
  duration_nanos: number | null;
  /** All there are. */
  stacks: number;
  /** Those with nothing of the value that rows are ordered by; they have no row. */
  idle_stacks: number;
  total: Figures;
  total_errors: Errors;
  rows: Row[];
  other: Figures;
  notes: string[];
}

export interface Suspect {
  kind: 'leak' | 'backlog' | 'slowing' | 'burst';
  growth_bytes_per_hour: number;
  growth_error_bytes_per_hour: number;
  growth_bytes: number;
  /** Growth, over what chance would make of it. */
  z: number;
  inuse_space: number;
  inuse_objects: number;
  inuse_samples: number;
  /** One standard error of `inuse_space`. */
  inuse_space_error_bytes: number | null;
  age: Age | null;
  /** In use at each of the moments looked at, the oldest first. */
  history_inuse_space: number[];
  stack: Place[];
}

export interface Leaks {
  time_nanos: number;
  window_seconds: number;
  records: number;
  notes: string[];
  suspects: Suspect[];
}

/** A profile, and the bytes it came as. */
export interface Fetched {
  profile: Profile;
  file: Uint8Array<ArrayBuffer>;
  /** What was asked for, from the page's folder. */
  target: string;
}

/** Most rows that the server gives. */
const MAX_ROWS = '1000';

/** An answer that is no success, in the server's words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    text: string,
  ) {
    super(text || `the server answered with status ${status}`);
  }
}

/** What to ask a profile for. */
export interface Wanted {
  /** `null`: now. */
  at: Moment | null;
  /** A difference from then on. */
  since?: Moment;
  /** All frames, those too that the server leaves out at the leaf. */
  all?: boolean;
  seconds?: number;
}

export function target(name: string, query: Record<string, string>): string {
  const said = new URLSearchParams(query).toString();
  return said ? `${name}?${said}` : name;
}

function query({ at, since, all, seconds }: Wanted): Record<string, string> {
  return {
    ...(at !== null && { at: String(at) }),
    ...(since !== undefined && { since: String(since) }),
    ...(all && { frames: 'all' }),
    ...(seconds !== undefined && { seconds: String(seconds) }),
  };
}

export async function history(signal: AbortSignal): Promise<History> {
  return (await ask('history', { signal })).json();
}

/** `null` where the server knows no suspects. */
export async function leaks(signal: AbortSignal): Promise<Leaks | null> {
  try {
    return await (await ask(target('leaks', { format: 'json' }), { signal })).json();
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

export async function table(wanted: Wanted, type: SampleType, signal: AbortSignal): Promise<Table> {
  const said = { ...query(wanted), format: 'json', top: MAX_ROWS, sample_index: type };
  return (await ask(target('heap', said), { signal })).json();
}

export async function profile(wanted: Wanted, signal: AbortSignal): Promise<Fetched> {
  const asked = target('heap', query(wanted));
  const file = new Uint8Array(await (await ask(asked, { signal })).arrayBuffer());
  return { profile: await decode(file), file, target: asked };
}

/** Keeps this moment under a name. */
export async function mark(name: string, replaces: boolean): Promise<void> {
  await ask(target('mark', { name, ...(replaces && { replace: '1' }) }), { method: 'POST' });
}

/** Where a target is, for people: with the host, without the password that the page may have been opened with. */
export function address(target: string): string {
  const url = new URL(target, location.href);
  url.username = '';
  url.password = '';
  url.hash = '';
  return url.href;
}

async function ask(target: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(address(target), { ...options, credentials: 'same-origin' });
  if (!answer.ok) throw new Refused(answer.status, (await answer.text()).trim());
  return answer;
}
