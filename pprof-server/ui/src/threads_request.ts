// This asks where threads and tasks are: once when that is looked at first, and whenever the user asks for it anew.

import { useEffect, useState } from 'preact/hooks';
import { inWords } from './poll';
import type { Shown } from './shown';
import type { Source } from './source';

export interface ThreadsRequest {
  /** What was found last. It stays in sight until the next answer is there. */
  readonly current: Shown | null;
  readonly isLoading: boolean;
  /** Why the last request failed, in the server's words; `null` if it did not. */
  readonly error: string | null;
  readonly askAnew: () => void;
}

/** What is known after the last answer. */
interface Answered {
  /** The turn that it answers. */
  readonly turn: number;
  readonly shown: Shown | null;
  readonly error: string | null;
}

/** Asks `source` as soon as `isWanted`. */
export function useThreads(source: Source, isWanted: boolean): ThreadsRequest {
  const [turn, setTurn] = useState(1);
  const [answered, setAnswered] = useState<Answered>({ turn: 0, shown: null, error: null });
  const isLoading = answered.turn !== turn;
  useEffect(() => {
    if (!isWanted || !isLoading) return undefined;
    const leaving = new AbortController();
    source
      .fetchThreads(leaving.signal)
      .then((shown) => setAnswered({ turn, shown, error: null }))
      .catch((failure) => {
        if (!leaving.signal.aborted) setAnswered(({ shown }) => ({ turn, shown, error: inWords(failure) }));
      });
    return () => leaving.abort();
  }, [source, isWanted, isLoading, turn]);
  return { current: answered.shown, isLoading, error: answered.error, askAnew: () => setTurn(turn + 1) };
}
