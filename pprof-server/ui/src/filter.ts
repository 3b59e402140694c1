// This narrows a profile to the stacks that a function is on, or is not on, as `go tool pprof -focus` and `-ignore` do; and it
// tells what a search finds.
//
// A filter is the name of a function, or `~` and a text that is looked for in names and files.

import { placeOf, searchable } from './names';
import { sumOf, type Frame, type Profile, type Values } from './profile';
import type { View } from './view';

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

/** What narrows a profile to some of its stacks. */
export type Narrowing = Pick<View, 'focus' | 'ignore' | 'thread' | 'kind'>;

/**
 * Returns the stacks of `profile` that `focus` is on, on which none of `ignore` is, and that are of `thread` and of `kind`. With none
 * of them, it is `profile` itself.
 */
export function narrow(profile: Profile, { focus, ignore, thread, kind }: Narrowing): Profile {
  if (focus === null && ignore.length === 0 && thread === null && kind === null) return profile;
  const isWanted = focus === null ? null : onStack(matches(focus));
  const unwanted = ignore.map((filter) => onStack(matches(filter)));
  const stacks = profile.stacks.filter(
    (stack) =>
      (thread === null || stack.thread === thread) &&
      (kind === null || stack.labels.kind === kind) &&
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

/** Returns the regular expression for `go tool pprof -tagfocus` that finds a label with just this value. */
export function tagExpression(value: string): string {
  // A comma would end the expression.
  return `^${escaped(value).replaceAll(',', '\\x2c')}$`;
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
