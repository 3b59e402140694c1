// Where moments lie on the time line, and which of them are recorded.

import { nearest } from './moments';

/** The ends of the time line, wherever they move to: what is older than every record, and what is not yet recorded. */
export const NOTHING = -Infinity;
export const NOW = Infinity;

/** Two moments, in seconds since 1970 UTC. Indices would move with each record. */
export interface Pair {
  readonly from: number;
  readonly to: number;
}

export interface Ruler {
  /** When the records were taken, the oldest first. The last is now. */
  readonly times: readonly number[];
  readonly start: number;
  readonly end: number;
  /** The index of now, behind all records. */
  readonly last: number;
  /** The record that is nearest to a moment; -1 for what is older than all. */
  readonly indexOf: (seconds: number) => number;
  /** The moment of the record at an index. */
  readonly secondsOf: (index: number) => number;
  /** Where a moment lies, from the left. One that is outside lies at the edge. */
  readonly percentAt: (seconds: number) => number;
  /** The moment at which a pointer is over `plot`. */
  readonly timeAt: (event: PointerEvent, plot: Element) => number;
  /** The moment of the record that is nearest to the pointer. */
  readonly recordAt: (event: PointerEvent, plot: Element) => number;
}

/** Returns the ruler from `start` to `end` with records at `times`. */
export function rulerOf(times: readonly number[], start: number, end: number): Ruler {
  const last = times.length - 1;
  const indexOf = (seconds: number) => (seconds === NOTHING ? -1 : seconds === NOW ? last : nearest(times, seconds));
  const secondsOf = (index: number) => (index < 0 ? NOTHING : index >= last ? NOW : times[index]!);
  const timeAt = (event: PointerEvent, plot: Element) => {
    const box = plot.getBoundingClientRect();
    return start + ((event.clientX - box.left) / box.width) * (end - start);
  };
  return {
    times,
    start,
    end,
    last,
    indexOf,
    secondsOf,
    percentAt: (seconds) => (100 * (Math.max(start, Math.min(end, seconds)) - start)) / (end - start),
    timeAt,
    recordAt: (event, plot) => secondsOf(indexOf(timeAt(event, plot))),
  };
}

/** Returns the side of a line at so many percent on which its label has room. */
export function sideAt(percent: number, prefersLeft: boolean): string {
  return percent > 85 || (prefersLeft && percent > 15) ? 'label-left' : 'label-right';
}
