// This narrows a profile to the stacks that a function is on, or is not on, as `go tool pprof -focus` and `-ignore` do; and it
// tells what a search finds.
//
// A filter is the name of a function, or `~` and a text that is looked for in names and files.

import { placeOf, searchable } from './names';
import { sumOf, type Frame, type Profile, type Values } from './profile';
import { pairOf, type LabelText, type View } from './view';

export type Predicate = (frame: Pick<Frame, 'function' | 'file' | 'line'>) => boolean;

/** Returns the filter for the stacks that a search finds. */
export const containing = (text: string): string => `~${text.trim()}`;

/** Says in words what a filter looks for. */
export const wordsOf = (filter: string): string => (filter.startsWith('~') ? `“${filter.slice(1)}”` : filter);

/** Returns what tells whether a frame has `query` in its name, however compilers write it, or in its `file:line`, in any case of letters. */
export function finds(query: string): Predicate {
  const wanted = query.trim().toLowerCase();
  const name = searchable(wanted);
  if (!wanted) return () => false;
  return (frame) =>
    (name !== '' && searchable(frame.function).includes(name)) || placeOf(frame).toLowerCase().includes(wanted);
}

function matches(filter: string): Predicate {
  return filter.startsWith('~') ? finds(filter.slice(1)) : (frame) => frame.function === filter;
}

/** Returns whether nothing is left out. */
export function isEverything({ focus, ignore, thread, kind, labels }: Narrowing): boolean {
  return focus === null && ignore.length === 0 && thread === null && kind === null && labels.length === 0;
}

/** What narrows a profile to some of its stacks. */
export type Narrowing = Pick<View, 'focus' | 'ignore' | 'thread' | 'kind' | 'labels'>;

/**
 * Returns the stacks of `profile` that `focus` is on, on which none of `ignore` is, and that are of `thread` and of `kind` and have all
 * `labels`. With none of them, it is `profile` itself.
 */
export function narrow(profile: Profile, narrowing: Narrowing): Profile {
  if (isEverything(narrowing)) return profile;
  const { focus, ignore, thread, kind } = narrowing;
  const labels = narrowing.labels.map(pairOf);
  const isWanted = focus === null ? null : onStack(matches(focus));
  const unwanted = ignore.map((filter) => onStack(matches(filter)));
  const stacks = profile.stacks.filter(
    (stack) =>
      (thread === null || stack.thread === thread) &&
      (kind === null || stack.labels.kind === kind) &&
      labels.every(([key, value]) => (stack.ofProgram[key] ?? '') === value) &&
      (isWanted?.(stack.frames) ?? true) &&
      !unwanted.some((isOn) => isOn(stack.frames)),
  );
  return { ...profile, stacks };
}

/**
 * Cuts the stacks that the function `name` is on at its outermost call: into those who call it, and what it calls. It is on both
 * parts.
 */
export function around(profile: Profile, name: string): { readonly callers: Profile; readonly callees: Profile } {
  const cut = (part: (frames: readonly Frame[], at: number) => readonly Frame[]): Profile => {
    const stacks = profile.stacks.flatMap((stack) => {
      const at = stack.frames.findLastIndex((frame) => frame.function === name);
      return at === -1 ? [] : [{ ...stack, frames: part(stack.frames, at) }];
    });
    return { ...profile, stacks };
  };
  return { callers: cut((frames, at) => frames.slice(at)), callees: cut((frames, at) => frames.slice(0, at + 1)) };
}

/** What a search finds in a profile. */
export interface Found {
  readonly stacks: number;
  readonly values: Values;
}

/** Returns the sum of the stacks on which `isMatch` holds somewhere. */
export function foundIn(profile: Profile, isMatch: Predicate): Found {
  const isOn = onStack(isMatch);
  const found = profile.stacks.filter(({ frames }) => isOn(frames));
  return { stacks: found.length, values: sumOf(profile.types.length, found) };
}

/** Returns what tells whether one of a stack's frames matches. Frames are few and stand on many stacks, so verdicts are kept. */
export function onStack(isMatch: Predicate): (frames: readonly Frame[]) => boolean {
  const verdicts = new Map<Frame, boolean>();
  return (frames) =>
    frames.some((frame) => {
      let verdict = verdicts.get(frame);
      if (verdict === undefined) verdicts.set(frame, (verdict = isMatch(frame)));
      return verdict;
    });
}

/** Returns what `go tool pprof -tagfocus` reads as: all of these labels, each with just this value; `null` if there are none. */
export function tagExpression(labels: readonly (readonly [key: string, value: string])[]): string | null {
  const [first, ...others] = labels;
  if (!first) return null;
  // A comma would end the expression. Without a key and its `=`, pprof looks in `key:value`, and wants all expressions to be found.
  const text = (value: string) => escaped(value).replaceAll(',', '\\x2c');
  if (others.length === 0) return `${first[0]}=^${text(first[1])}$`;
  return labels.map(([key, value]) => `^${text(key)}:${text(value).replaceAll('=', '\\x3d')}$`).join(',');
}

/** Returns what `go tool pprof -tagignore` reads as: any of these labels; `null` if there are none. */
export function anyTagExpression(keys: readonly string[]): string | null {
  return keys.length === 0 ? null : `^(${keys.map(escaped).join('|')}):`;
}

/** The labels that a profile has, by their keys, and how much is on the stacks with each value, the most first. */
export function labelsIn({ stacks }: Pick<Profile, 'stacks'>, index: number): ReadonlyMap<string, readonly (readonly [value: string, sum: number])[]> {
  const sums = new Map<string, Map<string, number>>();
  const keys = new Set(stacks.flatMap(({ ofProgram }) => Object.keys(ofProgram)));
  for (const key of [...keys].sort()) {
    const of = new Map<string, number>();
    for (const { ofProgram, values } of stacks) of.set(ofProgram[key] ?? '', (of.get(ofProgram[key] ?? '') ?? 0) + values[index]!);
    sums.set(key, of);
  }
  return new Map([...sums].map(([key, of]) => [key, [...of].sort(([, a], [, b]) => Math.abs(b) - Math.abs(a))]));
}

/** Says in words which stacks a label stands for. */
export function labelInWords(label: LabelText): string {
  const [key, value] = pairOf(label);
  return value === '' ? `no ${key}` : `${key} ${value}`;
}

const escaped = (text: string) => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');

/** Returns the regular expression of filters for `go tool pprof`, whose `-focus` and `-ignore` look in names and files. */
export function expressionOf(filters: readonly string[]): string {
  // A search does not care for the brackets that compilers write around a type.
  const loosely = (text: string) => text.split(/[<>]/).map(escaped).join('[<>]*');
  return filters
    .map((filter) => (filter.startsWith('~') ? `(?i:${loosely(filter.slice(1))})` : `^${escaped(filter)}$`))
    .join('|');
}
