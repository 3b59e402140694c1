// Where the moments of a view are among those that are recorded.

import type { History } from './answers';
import type { Moment } from './view';

/** Returns the time of a moment in seconds since 1970 UTC; `null` is now, or a mark that is not there. */
export function momentIn(history: History, moment: Moment | null): number | null {
  if (typeof moment !== 'string') return moment;
  const mark = history.marks.find(({ name }) => name === moment);
  return mark ? mark.time_nanos / 1e9 : null;
}

/** Returns the recorded moment that is nearest to `moment`. A mark that is set stays as it is; one that is not is left out. */
export function nearestTo(history: History, moment: Moment | null): Moment | null {
  if (typeof moment === 'string') return momentIn(history, moment) === null ? null : moment;
  if (moment === null) return null;
  const times = history.records.map(({ time_nanos }) => time_nanos / 1e9);
  return times.length > 0 ? times[nearest(times, moment)]! : null;
}

/** Returns the index of the time that is nearest to `seconds`. */
export function nearest(times: readonly number[], seconds: number): number {
  let best = 0;
  times.forEach((time, index) => {
    if (Math.abs(time - seconds) < Math.abs(times[best]! - seconds)) best = index;
  });
  return best;
}
