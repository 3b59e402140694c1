// This fetches what a view shows: the profile of a moment, the difference of two moments, or a capture.
//
// It does so when the view's moments change, and when the user asks for it again. Profiles are the very files that the user
// downloads. The table comes from the server, which alone knows samples and ages.

import type { Age, Errors, Frame, Heap, Values } from './answers';
import { merged } from './notes';
import { difference, type Profile } from './profile';
import type { SampleType } from './sample_type';
import * as server from './server';
import { stamp } from './units';
import type { View } from './view';

export interface Shown {
  readonly profile: Profile;
  readonly isDifference: boolean;
  readonly before: File | null;
  readonly after: File;
  /** `null` if the server was not asked for rows. */
  readonly rows: readonly Line[] | null;
  /** Stacks that have no row although they have something to show. */
  readonly rest: { readonly stacks: number; readonly figures: Values } | null;
  /** Stacks that have no row because they have nothing of the value that was asked for. */
  readonly idleStacks: number;
  readonly notes: readonly string[];
}

/** A profile to download. */
export interface File {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly seconds: number;
}

/** A stack in the table. */
export interface Line {
  readonly stack: readonly Frame[];
  /** What it holds at the end of a difference; `null` if unknown. */
  readonly inuse: Values | null;
  /** What changed between the two moments. In a snapshot, this is what it has. */
  readonly change: Values;
  /** One standard error of each value of `change`; `null` if unknown. */
  readonly errors: Errors | null;
  /** The age of what is in use now; `null` if unknown. */
  readonly age: Age | null;
}

/** Fetches what `view` shows. */
export async function fetchView(
  view: Pick<View, 'from' | 'to' | 'type' | 'hidesStd'>,
  signal: AbortSignal,
): Promise<Shown> {
  const { from, to, type } = view;
  const wanted = { at: to, all: !view.hidesStd };
  const [after, snapshot, before, growth] = await Promise.all([
    server.profile(wanted, signal),
    server.table(wanted, type, signal),
    from === null ? null : server.profile({ ...wanted, at: from }, signal),
    from === null ? null : server.table({ ...wanted, since: from }, type, signal),
  ]);
  const table = growth ?? snapshot;
  const others = table.stacks - table.idle_stacks - table.rows.length;
  return {
    // The server tells how much time passed, because the times in profiles are by a clock that somebody may set.
    profile: before ? { ...difference(before.profile, after.profile), ...lastingAs(growth) } : after.profile,
    isDifference: before !== null,
    before: before && file('heap', before),
    after: file('heap', after),
    rows: lines(snapshot, growth),
    // There are stacks only if something was sampled, and then their sums are known.
    rest: others > 0 ? { stacks: others, figures: table.other as Values } : null,
    idleStacks: table.idle_stacks,
    notes: merged(table.notes, after.profile.comments),
  };
}

function lastingAs(growth: Heap | null): { durationSeconds?: number } {
  return growth?.duration_nanos == null ? {} : { durationSeconds: growth.duration_nanos / 1e9 };
}

/** Waits so many seconds, and fetches what changed in them. */
export async function capture(
  seconds: number,
  type: SampleType,
  hidesStd: boolean,
  signal: AbortSignal,
): Promise<Shown> {
  const fetched = await server.profile({ at: null, seconds, all: !hidesStd }, signal);
  return {
    profile: fetched.profile,
    isDifference: true,
    before: null,
    after: file('heap-delta', fetched),
    rows: linesOf(fetched.profile, type),
    rest: null,
    idleStacks: 0,
    notes: fetched.profile.comments,
  };
}

function file(kind: string, { profile, file }: server.Fetched): File {
  return { name: `${kind}-${stamp(profile.seconds)}.pb.gz`, bytes: file, seconds: profile.seconds };
}

/** Returns the rows of a snapshot, or those of a difference with what the snapshot at its end knows of the same stacks. */
export function lines(snapshot: Heap, growth: Heap | null): Line[] {
  const at_end = new Map(snapshot.rows.map((row) => [key(row.stack), row]));
  return (growth ?? snapshot).rows.map((row) => {
    const same = at_end.get(key(row.stack));
    return {
      stack: row.stack,
      inuse: same?.values ?? null,
      change: row.values,
      errors: row.errors,
      age: same?.age ?? null,
    };
  });
}

/** Makes rows from a profile, which tells neither samples nor ages. */
export function linesOf(profile: Profile, type: SampleType): Line[] {
  const rows = profile.stacks.map(({ frames, values }) => {
    const [alloc_objects, alloc_space, inuse_objects, inuse_space] = values;
    const stack = frames.map(({ name, file, line, isInlined }) => ({ function: name, file, line, is_inlined: isInlined }));
    const change = { alloc_objects, alloc_space, inuse_objects, inuse_space, alloc_samples: NaN, inuse_samples: NaN };
    return { stack, inuse: null, change, errors: null, age: null };
  });
  return rows.sort((a, b) => Math.abs(b.change[type]) - Math.abs(a.change[type]));
}

function key(stack: readonly Frame[]): string {
  return stack.map((frame) => `${frame.function}\0${frame.file}\0${frame.line}\0${frame.is_inlined}`).join('\n');
}
