// The rows of the table: the stacks that allocate at one line, in one function or in one crate are one row.
//
// They are counted from the profile, which has all stacks. What it does not tell, which are samples, errors and ages, comes from
// the server's rows; those are the largest thousand.

import type { Age, Frame, Heap, Profile as Answer } from './answers';
import { idOf } from './ids';
import { crateOf, placeOf } from './names';
import { sumOf, type Labels, type Profile, type Stack, type Values } from './profile';
import type { SampleType } from './sample_type';
import type { Suspicion } from './suspicions';
import { labelKeyOf, type Group, type LabelGroup } from './view';

/** What the server alone knows of a stack. */
export interface Detail {
  readonly samples: number;
  readonly errors: Partial<Readonly<Record<SampleType, number | null>>> | null;
  readonly age: Age | null;
}

/** All stacks whose first frame that is shown is the same line, function or crate, or that are of one thread. */
export interface Line {
  /** It is the same in another profile. */
  readonly id: string;
  /** The function, the crate, or the thread. */
  readonly name: string;
  /** Where it allocates, if that is one line. */
  readonly frame: Frame | null;
  /** The one with the largest value is the first. */
  readonly stacks: readonly Keyed[];
  readonly values: Values;
  /** What they hold at the end of a difference; `null` if unknown. */
  readonly end: Values | null;
  /** The number of samples, with `isLeast` if there are stacks of which it is not known; `null` if it is known of none. */
  readonly samples: Known | null;
  /** One standard error of the bytes in use, or of the number of tasks. */
  readonly error: Known | null;
  /** How many threads of different names were on them. */
  readonly threads: number;
  /** The least and the greatest median of the stacks' ages, in seconds. */
  readonly age: { readonly least: number; readonly most: number } | null;
  /** The age of the oldest, in seconds. */
  readonly oldest: number | null;
  /** The surest suspicion of its stacks. */
  readonly suspicion: Suspicion | null;
}

export interface Known {
  readonly value: number;
  readonly isLeast: boolean;
}

/** Returns what the rows of an answer tell, by `keyOf` their stacks. In a difference, ages are told by the snapshot at its end. */
export function detailsOf(snapshot: Heap | Answer | null, growth: Heap | null): ReadonlyMap<string, Detail> {
  const ages = new Map<string, Age | null>();
  for (const { stack, age } of snapshot?.rows ?? []) ages.set(keyOf(stack), age);
  const details = new Map<string, Detail>();
  for (const { stack, values, errors } of (growth ?? snapshot)?.rows ?? []) {
    const key = keyOf(stack);
    const samples = 'inuse_samples' in values ? values.inuse_samples : values.samples;
    details.set(key, { samples: samples ?? 0, errors, age: ages.get(key) ?? null });
  }
  return details;
}

/** To the server, stacks are alike if they have the same functions at the same lines, inlined or not. */
export function keyOf(stack: readonly Frame[]): string {
  return stack.map(({ function: name, file, line }) => `${name}\0${file}\0${line}`).join('\n');
}

/** A stack, and those that are alike to the server, together. */
export interface Keyed extends Stack {
  readonly key: string;
  /** The names of the threads that were on it. */
  readonly threads: ReadonlySet<string>;
}

/** What rows are made by. */
export type RowsBy = Group | LabelGroup;

/** Adds up the stacks that are alike; if rows are made by threads or by a label, those of one row. */
export function alike(profile: Profile, group: RowsBy = 'line'): Keyed[] {
  const key = labelKeyOf(group);
  const rowOf = ({ thread, ofProgram }: Stack) => (group === 'thread' ? thread : key === null ? '' : (ofProgram[key] ?? ''));
  const known = new Map<string, Keyed>();
  for (const stack of profile.stacks) {
    const key = keyOf(stack.whole);
    const { kind, state, waits, unread } = stack.labels;
    const place = [rowOf(stack), kind, state, waits, unread, key].join('\n');
    const other = known.get(place);
    const end = other?.end && stack.end ? sum([other.end, stack.end]) : stack.end;
    const threads = new Set([...(other?.threads ?? []), stack.thread]);
    known.set(place, other ? { ...other, values: sum([other.values, stack.values]), end, threads } : { ...stack, key, threads });
  }
  return [...known.values()];
}

/** Returns the lines of stacks, in no order, and the stacks of each by the value at `index`. */
export function linesOf(all: readonly Keyed[], told: Told, index: number, group: RowsBy): Line[] {
  const stacks = new Map<string, Keyed[]>();
  for (const stack of all) {
    const frame = told.leadOf(stack);
    const key = group === 'line' ? `${frame.function}\0${placeOf(frame)}` : nameOf(stack, frame, group);
    const known = stacks.get(key);
    if (known) known.push(stack);
    else stacks.set(key, [stack]);
  }
  return [...stacks].map(([key, of]) => lineOf(idOf(key), group, of, told, index));
}

/** What is told of stacks beside their values. */
export interface Told {
  readonly details: ReadonlyMap<string, Detail>;
  readonly suspicions: ReadonlyMap<string, Suspicion>;
  /** Returns the frame by which a stack is called. */
  readonly leadOf: (stack: Pick<Stack, 'frames'>) => Frame;
}

/** A stack that allocates or is busy is called by its leaf. */
export const byLeaf: Told['leadOf'] = ({ frames }) => frames[0]!;

/** A stack that waits is called by its innermost frame of the program's own, since what it calls to wait tells little. */
export const byOwn =
  (isOwn: (frame: Frame) => boolean): Told['leadOf'] =>
  ({ frames }) =>
    frames.find(isOwn) ?? frames[0]!;

/** Returns the values that a label has on the stacks of a line, and how many have each, the most frequent first. */
export function valuesOf({ stacks }: Pick<Line, 'stacks'>, of: (labels: Labels) => string | undefined): [string, number][] {
  const counts = new Map<string, number>();
  for (const { values, labels } of stacks) {
    const value = of(labels);
    if (value) counts.set(value, (counts.get(value) ?? 0) + values[0]!);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

function nameOf({ thread, ofProgram }: Pick<Stack, 'thread' | 'ofProgram'>, { function: name }: Frame, group: RowsBy): string {
  const key = labelKeyOf(group);
  if (key !== null) return ofProgram[key] ?? `no ${key}`;
  if (group === 'thread') return thread || 'no name';
  return group === 'crate' ? crateOf(name) || 'no crate' : name;
}

/** Returns what a single stack would be as a line. */
export function lineOfStack(stack: Keyed, told: Told): Line {
  return lineOf('', 'line', [stack], told, 0);
}

function lineOf(id: string, group: RowsBy, stacks: Keyed[], { details, suspicions, leadOf }: Told, index: number): Line {
  const frame = leadOf(stacks[0]!);
  // Threads and tasks in different states may have one stack, of which the server tells once.
  const keys = [...new Set(stacks.map(({ key }) => key))];
  const told = keys.map((key) => details.get(key));
  const suspected = keys.flatMap((key) => suspicions.get(key) ?? []);
  const oldest = told.flatMap((detail) => detail?.age?.max_seconds ?? []);
  const ages = told.flatMap((detail) => (detail?.age ? [detail.age.median_seconds] : []));
  const ends = stacks.flatMap(({ end }) => (end ? [end] : []));
  return {
    id,
    name: nameOf(stacks[0]!, frame, group),
    frame: group === 'line' ? frame : null,
    stacks: stacks.toSorted((a, b) => Math.abs(b.values[index]!) - Math.abs(a.values[index]!)),
    values: sum(stacks.map(({ values }) => values)),
    end: ends.length > 0 ? sum(ends) : null,
    samples: known(told.map((detail) => detail?.samples), (values) => values.reduce((sum, value) => sum + value, 0)),
    // Stacks are sampled independently, so their errors add up as the sides of a right angle do.
    error: known(told.map((detail) => detail?.errors?.inuse_space ?? detail?.errors?.goroutine), (values) => Math.hypot(...values)),
    threads: new Set(stacks.flatMap(({ threads }) => [...threads])).size,
    age: ages.length > 0 ? { least: Math.min(...ages), most: Math.max(...ages) } : null,
    oldest: oldest.length > 0 ? Math.max(...oldest) : null,
    suspicion: suspected.reduce<Suspicion | null>((best, one) => (one.rank > (best?.rank ?? 0) ? one : best), null),
  };
}

function sum(values: readonly Values[]): Values {
  return sumOf(values[0]!.length, values.map((values) => ({ values })));
}

function known(values: readonly (number | null | undefined)[], combine: (values: number[]) => number): Known | null {
  const told = values.filter((value) => value != null);
  return told.length > 0 ? { value: combine(told), isLeast: told.length < values.length } : null;
}
