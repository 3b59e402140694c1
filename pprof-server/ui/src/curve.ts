// The figures that the time line draws: a point for each second or so, and now.

import type { History, Points } from './answers';
import { nearest } from './moments';
import { bytes, clock } from './units';

/** A list for each figure, with an entry for each time. An entry is `null` if the figure is unknown. */
export interface Curve {
  /** Seconds since 1970 UTC, the oldest first. */
  readonly times: readonly number[];
  readonly inuse: readonly (number | null)[];
  readonly error: readonly (number | null)[];
  readonly allocated: readonly (number | null)[];
  readonly resident: readonly (number | null)[];
  /** What the control group uses, and may use. */
  readonly usage: readonly (number | null)[];
  readonly limit: readonly (number | null)[];
}

/** Returns the points of the history, with now as the last. */
export function curveOf({ points, now }: Pick<History, 'points' | 'now'>): Curve {
  const seconds = now.time_nanos / 1e9;
  // A point may be made while the answer is, so it may be as new.
  const length = points.time_seconds.findLastIndex((time) => time < seconds) + 1;
  const column = (name: Exclude<keyof Points, 'time_seconds'>) => [...points[name].slice(0, length), now[name]];
  return {
    times: [...points.time_seconds.slice(0, length), seconds],
    inuse: column('inuse_space'),
    error: column('inuse_space_error_bytes'),
    allocated: column('alloc_space'),
    resident: column('rss_bytes'),
    usage: column('memory_usage_bytes'),
    limit: column('memory_limit_bytes'),
  };
}

/** Returns how much was allocated each second in the last `seconds` before the point at `index`; `null` if unknown. */
export function allocationRate({ times, allocated }: Curve, index: number, seconds: number): number | null {
  const before = Math.min(nearest(times, times[index]! - seconds), index - 1);
  const [from, to] = [allocated[before] ?? null, allocated[index] ?? null];
  const passed = before >= 0 ? times[index]! - times[before]! : 0;
  return from === null || to === null || passed <= 0 ? null : (to - from) / passed;
}

/** Says in a sentence what the curves are at a point. */
export function inWords(curve: Curve, index: number, isNow: boolean): string {
  const [inuse, error, rate] = [curve.inuse[index] ?? null, curve.error[index] ?? null, allocationRate(curve, index, 1)];
  const figure = (name: string, value: number | null | undefined) => value != null && `${name} ${bytes(value)}`;
  const parts = [
    `${isNow ? 'now, ' : ''}${clock(curve.times[index]!)}`,
    inuse !== null && `in use ${bytes(inuse)}${error ? ` ± ${bytes(error)}` : ''}`,
    figure('resident', curve.resident[index]),
    figure('control group', curve.limit[index] == null ? null : curve.usage[index]),
    figure('limit', curve.limit[index]),
    rate !== null && `allocates ${bytes(rate)}/s`,
  ];
  return parts.filter(Boolean).join(' · ');
}
