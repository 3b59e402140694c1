// This makes the command that shows the same in `go tool pprof`: it has the same files and the same value, and leaves out the
// same functions and stacks.

import { anyTagExpression, containing, expressionOf, tagExpression } from './filter';
import type { Frame } from './profile';
import type { SampleType } from './sample_type';
import { pairOf, type Tab, type View } from './view';

export interface Commanded extends Pick<View, 'search' | 'focus' | 'ignore' | 'thread' | 'kind' | 'labels'> {
  readonly before: string | null;
  readonly after: string;
  readonly type: SampleType;
  readonly tab: Tab;
  /** The expression by which functions are left out. With `null`, all are shown. */
  readonly hidden: string | null;
}

export function command({ before, after, type, tab, hidden, search, focus, ignore, thread, kind, labels }: Commanded): string {
  // pprof takes one focus.
  const focused = focus ?? (search.trim() ? containing(search) : null);
  const pairs = labels.map(pairOf);
  const wanted = [
    ...(thread === null ? [] : [['thread', thread] as const]),
    ...(kind === null ? [] : [['kind', kind] as const]),
    ...pairs.filter(([, value]) => value !== ''),
  ];
  const focusedTags = tagExpression(wanted);
  const ignoredTags = anyTagExpression(pairs.filter(([, value]) => value === '').map(([key]) => key));
  return [
    'go tool pprof',
    tab === 'flame' ? '-http=:' : '-top -cum',
    `-sample_index=${type}`,
    focused !== null && `-focus=${quoted(expressionOf([focused]))}`,
    ignore.length > 0 && `-ignore=${quoted(expressionOf(ignore))}`,
    focusedTags !== null && `-tagfocus=${quoted(focusedTags)}`,
    ignoredTags !== null && `-tagignore=${quoted(ignoredTags)}`,
    hidden !== null && `-hide=${quoted(hidden)}`,
    before && `-diff_base=${quoted(before)}`,
    quoted(after),
  ]
    .filter(Boolean)
    .join(' ');
}

/**
 * Returns as few of the alternatives of `pattern` as find the same among `frames`; `null` if there is nothing to find. The
 * server's expression has hundreds of letters, and most programs need a few of its alternatives.
 */
export function shortened(pattern: string, frames: Iterable<Frame>): string | null {
  const choices = split(pattern).flatMap(choicesOf);
  const finders = [...frames]
    .map((frame) => new Set(choices.filter(({ regex }) => isFoundBy(regex, frame))))
    .filter((found) => found.size > 0);
  // The longest goes first, if each frame has another one that finds it.
  for (const choice of choices.toSorted((a, b) => b.regex.source.length - a.regex.source.length)) {
    if (finders.every((found) => found.size > 1 || !found.has(choice))) finders.forEach((found) => found.delete(choice));
  }
  const kept = choices.filter((choice) => finders.some((found) => found.has(choice)));
  const parts = [...new Set(kept.map(({ part }) => part))];
  const of = (part: Part) => kept.filter((choice) => choice.part === part);
  return parts.length > 0 ? parts.map((part) => joined(part, of(part))).join('|') : null;
}

/** An alternative of a regular expression, up to the longest group in it and from there on. */
interface Part {
  readonly before: string;
  readonly after: string;
}

/** One of the choices that the group of a part has; `null` if it has no group. */
interface Choice {
  readonly part: Part;
  readonly choice: string | null;
  readonly regex: RegExp;
}

function isFoundBy(regex: RegExp, frame: Frame): boolean {
  return regex.test(frame.function) || regex.test(frame.file) || regex.test(frame.mapping);
}

function choicesOf(alternative: string): Choice[] {
  const group = longestGroup(alternative);
  if (!group) return [{ part: { before: alternative, after: '' }, choice: null, regex: new RegExp(alternative) }];
  const part = { before: alternative.slice(0, group.start), after: alternative.slice(group.end) };
  const inner = alternative.slice(group.start + 1, group.end - 1);
  return split(inner).map((choice) => ({ part, choice, regex: new RegExp(`${part.before}(${choice})${part.after}`) }));
}

function joined({ before, after }: Part, choices: readonly Choice[]): string {
  const inner = choices.map(({ choice }) => choice);
  return inner[0] === null ? before : `${before}(${inner.join('|')})${after}`;
}

/** Splits a regular expression at each `|` that is in no bracket. */
function split(pattern: string): string[] {
  const parts = [''];
  for (const { letter, depth, isInClass } of lettersOf(pattern)) {
    if (letter === '|' && depth === 0 && !isInClass) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

/** Returns the longest group that is in no other and is not repeated. */
function longestGroup(pattern: string): { readonly start: number; readonly end: number } | null {
  let best: { start: number; end: number } | null = null;
  let start = 0;
  for (const { letter, at, depth, isInClass } of lettersOf(pattern)) {
    if (isInClass || depth !== 1) continue;
    if (letter === '(') start = at;
    if (letter !== ')' || /[*+?{]/.test(pattern[at + 1] ?? '')) continue;
    if (!best || at + 1 - start > best.end - best.start) best = { start, end: at + 1 };
  }
  return best;
}

/** Returns the letters of a regular expression, an escaped one with its `\\`, and how deep in groups each is. */
function lettersOf(pattern: string): { letter: string; at: number; depth: number; isInClass: boolean }[] {
  let [depth, isInClass] = [0, false];
  return [...pattern.matchAll(/\\.|[^]/g)].map(({ 0: letter, index: at }) => {
    const was = isInClass;
    if (isInClass) isInClass = letter !== ']';
    else if (letter === '[') isInClass = true;
    else if (letter === '(') depth += 1;
    // Both brackets of a group are as deep as what is in it.
    const here = { letter, at, depth, isInClass: was };
    if (!was && letter === ')') depth -= 1;
    return here;
  });
}

/** Returns `text` as the shell has to read it. */
function quoted(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
