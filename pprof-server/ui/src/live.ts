// What the program says of itself, asked again and again: the history, and what it suspects.

import { useEffect, useState } from 'preact/hooks';
import type { History, Leaks } from './answers';
import { usePoll } from './poll';
import type { Source } from './source';

/** The time between two looks if nothing is recorded, or seldom; and the least, since a point is a second after another. */
const LONGEST_PERIOD_SECONDS = 10;
const LEAST_PERIOD_SECONDS = 1;
/** Suspects cost more than a look, and change more slowly. */
const LEAST_SUSPECTS_PERIOD_SECONDS = 5;

/** If nothing is recorded, nothing can be suspected. */
const none = async () => null;

export interface Live {
  /** `null` if the program has not answered yet. */
  readonly history: History | null;
  /** Why the last request for the history failed; `null` if it did not. */
  readonly error: string | null;
  readonly leaks: Leaks | null;
  /** Whether the program has said whether it suspects anything. */
  readonly isLeaksKnown: boolean;
  readonly refresh: () => void;
}

/** Asks `source` as often as the recorder takes records, and once if `isPaused`. */
export function useLive(source: Source, isPaused: boolean): Live {
  const [period, setPeriod] = useState(LONGEST_PERIOD_SECONDS);
  const history = usePoll(source.history, period, isPaused);
  const { value } = history;
  const isRecorded = (value?.period_seconds ?? 0) > 0;
  const leaks = usePoll(isRecorded ? source.leaks : none, Math.max(period, LEAST_SUSPECTS_PERIOD_SECONDS), isPaused);
  useEffect(() => {
    if (value) setPeriod(periodOf(value));
  }, [value?.pause_seconds]);
  return {
    history: value,
    error: history.error,
    leaks: leaks.value,
    isLeaksKnown: !isRecorded || leaks.value !== null,
    refresh: () => {
      history.refresh();
      leaks.refresh();
    },
  };
}

/** Returns how many seconds to wait between two looks. */
function periodOf({ pause_seconds: pause }: History): number {
  return pause > 0 ? Math.min(Math.max(pause, LEAST_PERIOD_SECONDS), LONGEST_PERIOD_SECONDS) : LONGEST_PERIOD_SECONDS;
}
