// What holds memory, as a tree: its roots are variables, stacks of threads, and findings such as a cycle, and its leaves are the
// sites that allocated the blocks.

import type { Frame, Holders } from './answers';
import { placeOf, shortPlace } from './names';

/** A root, or a site whose blocks are held by what is above it. */
export interface Holder {
  readonly frame: Frame;
  /** The heaviest is the first; findings come before all else. */
  readonly children: Holder[];
  readonly finding: Finding | null;
  /** What is held through it, in bytes and objects. */
  bytes: number;
  objects: number;
  /** The samples on which that rests. */
  samples: number;
  /** The variance of the bytes; `null` if it is not known. */
  variance: number | null;
}

/** A root that tells of a leak by itself: no variable reaches the blocks. */
export type Finding = 'cycle' | 'lost';

/** How the server names the roots that are findings. */
const FINDINGS: readonly [Finding, RegExp][] = [['cycle', /^\[cycle\b/], ['lost', /^\[lost\b/]];

/** What findings mean. */
export const MEANINGS: Record<Finding, string> = {
  cycle: 'Only their own blocks point to them, so nothing will ever free them. Let one of the pointers be a Weak.',
  lost: 'No pointer to them was found: they were leaked or forgotten, or are held by an index or a masked pointer.',
};

/** Returns the roots of what holds the blocks that were asked about. */
export function treeOf({ rows }: Pick<Holders, 'rows'>): Holder[] {
  const top: Holder[] = [];
  for (const { stack, values, errors } of rows) {
    let among = top;
    for (const frame of stack.toReversed()) {
      let holder = among.find(({ frame: other }) => other.function === frame.function && placeOf(other) === placeOf(frame));
      if (!holder) among.push((holder = newHolder(frame, among === top)));
      holder.bytes += values.inuse_space ?? 0;
      holder.objects += values.inuse_objects ?? 0;
      holder.samples += values.inuse_samples ?? 0;
      const error = errors.inuse_space ?? null;
      // Rows are sampled independently, so their variances add up.
      holder.variance = holder.variance === null || error === null ? null : holder.variance + error ** 2;
      among = holder.children;
    }
  }
  sort(top);
  return top;
}

function newHolder(frame: Frame, isRoot: boolean): Holder {
  const finding = isRoot ? (FINDINGS.find(([, name]) => name.test(frame.function))?.[0] ?? null) : null;
  return { frame, children: [], finding, bytes: 0, objects: 0, samples: 0, variance: 0 };
}

function sort(holders: Holder[]) {
  const rank = ({ finding }: Holder) => Number(finding !== null);
  holders.sort((a, b) => rank(b) - rank(a) || b.bytes - a.bytes);
  holders.forEach(({ children }) => sort(children));
}

export interface Share {
  /** From 0 to 1. */
  readonly value: number;
  /** One standard error; `null` if it is not known. */
  readonly error: number | null;
}

/** Returns which share of all bytes that were asked about a holder holds. */
export function shareOf({ bytes, variance }: Pick<Holder, 'bytes' | 'variance'>, answer: Pick<Holders, 'total' | 'total_errors'>): Share {
  const total = answer.total.inuse_space ?? 0;
  const error = answer.total_errors.inuse_space ?? null;
  if (total === 0) return { value: 0, error: null };
  const value = bytes / total;
  if (variance === null || error === null) return { value, error: null };
  // What is held elsewhere is sampled independently of what is held here: the error of a ratio follows from both.
  const others = Math.max(0, error ** 2 - variance);
  return { value, error: Math.sqrt((1 - value) ** 2 * variance + value ** 2 * others) / total };
}

/** What the server says of the blocks of one site in a sentence. */
export interface Sentence {
  /** The function, and in brackets its file and line. */
  readonly site: string;
  readonly text: string;
}

const SENTENCE = /^holders: (.+?): (\d+(?: ± \d+)? % of the bytes in use .*)$/;

/** Returns the notes that say what holds the blocks of a site, and the others. */
export function saidOf({ notes }: Pick<Holders, 'notes'>): { readonly sentences: Sentence[]; readonly others: string[] } {
  const matches = notes.map((note) => SENTENCE.exec(note));
  return {
    sentences: matches.flatMap((match) => (match ? [{ site: match[1]!, text: match[2]! }] : [])),
    others: notes.filter((_, index) => !matches[index]).map((note) => note.replace(/^holders: /, '')),
  };
}

/** Returns the sentence about the site that is named by `frame`; else the first, which is about the heaviest site. */
export function sentenceOf(sentences: readonly Sentence[], frame: Pick<Frame, 'function' | 'file' | 'line'> | null): Sentence | null {
  const place = frame && placeOf(frame);
  const site = frame && (place ? `${frame.function} (${place})` : frame.function);
  return sentences.find((sentence) => sentence.site === site) ?? sentences[0] ?? null;
}

/** Returns a text in which paths begin with the folder of their crate. */
export const withShortPlaces = (text: string): string => text.replace(/\((\/[^()]*:\d+)\)/g, (_, place: string) => `(${shortPlace(place)})`);
