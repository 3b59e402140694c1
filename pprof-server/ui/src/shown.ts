// This fetches what a view shows: the profile of a moment, the difference of two moments, a capture, or what changed since a
// profile that the user has in a file.
//
// It does so when the view's moments change, and when the user asks for it again. Profiles are the very files that the user
// downloads. The server's rows are asked for beside them, because it alone knows samples, errors and ages.

import type { Heap } from './answers';
import { detailsOf, type Detail } from './lines';
import { merged } from './notes';
import { decode, difference, type Profile } from './profile';
import * as server from './server';
import type { Suspicion } from './suspicions';
import { bytes, stamp } from './units';
import { momentsOf, type Span, type View } from './view';

export interface Shown {
  readonly profile: Profile;
  readonly isDifference: boolean;
  /** Whether it is what changed while the server waited. */
  readonly isCapture: boolean;
  /** Whether `before` is a file of the user's. */
  readonly isSinceFile: boolean;
  readonly before: File | null;
  readonly after: File;
  /** What the server knows of stacks, by `keyOf` them. */
  readonly details: ReadonlyMap<string, Detail>;
  /** Whether another value would bring what is known of other stacks. */
  readonly isPartial: boolean;
  /** How many stacks have something of the value that was asked for, and are too small to be told more of. */
  readonly untold: number;
  readonly notes: readonly string[];
  /** What is suspected of stacks, by `keyOf` them. Only of tasks it is told. */
  readonly suspicions: ReadonlyMap<string, Suspicion>;
}

/** A profile to download. */
export interface File {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly seconds: number;
}

/** A profile from a file of the user's, to compare with. */
export interface Baseline {
  readonly file: File;
  readonly profile: Profile;
}

/** What is asked for: the part of a view that answers depend on. */
export type Asked = Pick<View, 'from' | 'to' | 'capture' | 'minAge' | 'type' | 'hides'>;

/** Returns whether the age of blocks can be asked for: it is known of what is in use now. */
export function knowsAges({ from, to, capture }: Pick<View, 'from' | 'to' | 'capture'>): boolean {
  return from === null && to === null && capture === null;
}

const NONE: Shown['suspicions'] = new Map();

/** Fetches what a view shows. */
export async function fetchView(asked: Asked, signal: AbortSignal): Promise<Shown> {
  const { from, to } = momentsOf(asked);
  const wanted = { at: to, all: asked.hides === 'nothing', ...(knowsAges(asked) && { minAge: asked.minAge }) };
  const [after, snapshot, before, growth] = await Promise.all([
    server.profile(wanted, signal),
    server.table('heap', wanted, asked.type, signal),
    from === null ? null : server.profile({ ...wanted, at: from }, signal),
    from === null ? null : server.table('heap', { ...wanted, since: from }, asked.type, signal),
  ]);
  const table = growth ?? snapshot;
  return {
    // The server tells how much time passed, because the times in profiles are by a clock that somebody may set.
    profile: before ? { ...difference(before.profile, after.profile), ...lastingAs(growth) } : after.profile,
    isDifference: before !== null,
    isCapture: false,
    isSinceFile: false,
    before: before && file('heap', before),
    after: file('heap', after),
    details: detailsOf(snapshot, growth),
    isPartial: table.rows.length < table.stacks,
    untold: table.stacks - table.idle_stacks - table.rows.length,
    notes: merged(table.notes, after.profile.comments),
    suspicions: NONE,
  };
}

function lastingAs(growth: Heap | null): { durationSeconds?: number } {
  return growth?.duration_nanos == null ? {} : { durationSeconds: growth.duration_nanos / 1e9 };
}

/** Waits so many seconds, and fetches what changed in them. */
export async function capture(
  seconds: number,
  { type, hides }: Pick<View, 'type' | 'hides'>,
  signal: AbortSignal,
): Promise<{ readonly shown: Shown; readonly span: Span }> {
  const wanted = { at: null, seconds, all: hides === 'nothing' };
  const [fetched, table] = await Promise.all([
    server.profile(wanted, signal),
    // A server lets a client wait for one difference of each kind. Without the rows, only samples and errors are not known.
    server.table('allocs', wanted, type, signal).catch(() => null),
  ]);
  const { profile } = fetched;
  const start = Number((profile.seconds - profile.durationSeconds).toFixed(3));
  return {
    span: { start, seconds },
    shown: {
      profile,
      isDifference: true,
      isCapture: true,
      isSinceFile: false,
      before: null,
      after: file('heap-delta', fetched),
      details: detailsOf(null, table),
      isPartial: false,
      untold: 0,
      notes: merged(table?.notes ?? [], profile.comments),
      suspicions: NONE,
    },
  };
}

/** Waits so many seconds, and fetches what was busy in them. */
export async function captureCpu(seconds: number, hz: number, signal: AbortSignal): Promise<Shown> {
  return captured('cpu', await server.cpu(seconds, hz, signal));
}

/** Waits so many seconds, and fetches what was waited for locks in them; or who waits at this moment. */
export async function captureWaits(seconds: number, of: server.Waits, signal: AbortSignal): Promise<Shown> {
  return captured(of, await server.waits(seconds, of, signal));
}

/** What is shown of a capture that is no difference: the profile alone. */
function captured(kind: string, fetched: server.Fetched): Shown {
  return {
    profile: fetched.profile,
    isDifference: false,
    isCapture: true,
    isSinceFile: false,
    before: null,
    after: file(kind, fetched),
    details: new Map(),
    isPartial: false,
    untold: 0,
    notes: fetched.profile.comments,
    suspicions: NONE,
  };
}

/** Fetches where threads and tasks are. The two requests look at them twice, so a task that went on in between has no age. */
export async function fetchThreads(signal: AbortSignal): Promise<Shown> {
  const [fetched, table] = await Promise.all([server.threads(signal), server.threadTable(signal)]);
  return {
    profile: fetched.profile,
    isDifference: false,
    isCapture: false,
    isSinceFile: false,
    before: null,
    after: file('goroutine', fetched),
    details: detailsOf(table, null),
    isPartial: false,
    untold: Math.max(0, table.stacks - table.idle_stacks - table.rows.length),
    notes: merged(table.notes, fetched.profile.comments),
    suspicions: NONE,
  };
}

/** A larger file is not read. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** Reads a profile that the user kept. Throws an error with a sentence if it is none. */
export async function baselineOf(chosen: globalThis.File): Promise<Baseline> {
  if (chosen.size > MAX_FILE_BYTES) {
    throw new Error(`${chosen.name} has ${bytes(chosen.size)}; a profile of at most ${bytes(MAX_FILE_BYTES)} can be compared with.`);
  }
  const content = new Uint8Array(await chosen.arrayBuffer());
  try {
    const profile = await decode(content);
    return { profile, file: { name: chosen.name, bytes: content, seconds: profile.seconds } };
  } catch (failure) {
    const why = failure instanceof Error && !(failure instanceof TypeError) ? failure.message : 'it is not in the format of pprof';
    throw new Error(`${chosen.name} cannot be compared with: ${why}. Choose a heap profile (.pb.gz) that this page or /debug/pprof/heap gave.`);
  }
}

/** Returns what changed since `baseline`. Its samples, errors and ages are not known. */
export function since({ file, profile }: Baseline, shown: Shown): Shown {
  return {
    ...shown,
    profile: difference(profile, shown.profile),
    isDifference: true,
    isSinceFile: true,
    before: file,
    details: new Map(),
    isPartial: false,
    untold: 0,
  };
}

function file(kind: string, { profile, file }: server.Fetched): File {
  return { name: `${kind}-${stamp(profile.seconds)}.pb.gz`, bytes: file, seconds: profile.seconds };
}
