// This asks the server again and again while the page can be seen.

import { useEffect, useState } from 'preact/hooks';

export interface Polled<T> {
  readonly value: T | null;
  /** Why the last request failed; `null` if it did not. */
  readonly error: string | null;
  readonly refresh: () => void;
}

/** Calls `ask` at once, and then `seconds` after each answer. It does not while paused, nor while the page is hidden. */
export function usePoll<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  seconds: number,
  isPaused: boolean,
): Polled<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [round, setRound] = useState(0);

  useEffect(() => {
    const leaving = new AbortController();
    let timer = 0;
    const turn = async () => {
      try {
        const answer = await ask(leaving.signal);
        if (leaving.signal.aborted) return;
        setValue(() => answer);
        setError(null);
      } catch (failure) {
        if (leaving.signal.aborted) return;
        setError(inWords(failure));
      }
      if (!isPaused) timer = window.setTimeout(whenSeen, seconds * 1000);
    };
    const whenSeen = () => {
      if (document.visibilityState === 'visible') void turn();
      else document.addEventListener('visibilitychange', whenSeen, { once: true, signal: leaving.signal });
    };
    whenSeen();
    return () => {
      leaving.abort();
      window.clearTimeout(timer);
    };
  }, [ask, seconds, isPaused, round]);

  return { value, error, refresh: () => setRound((round) => round + 1) };
}

/** Says in a sentence what went wrong. */
export function inWords(failure: unknown): string {
  if (failure instanceof TypeError) return 'The program does not answer. Has it ended?';
  return failure instanceof Error ? failure.message : String(failure);
}
