// This is the life of a capture of CPU time, or of waits: what is on its way, what was captured, and what went wrong.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Running } from './capture';
import { inWords } from './poll';
import type { Shown } from './shown';

export interface Captured<How> {
  /** What was captured last. It stays in sight until the next one is there. */
  readonly current: Shown | null;
  readonly running: Running | null;
  /** Why the last capture failed, in the server's words; `null` if it did not. */
  readonly error: string | null;
  readonly start: (seconds: number, how: How) => void;
  readonly cancel: () => void;
}

/** Captures by `capture`, and begins with what was `kept`. Both must be the same functions each time. */
export function useCaptured<How>(
  capture: (seconds: number, how: How, signal: AbortSignal) => Promise<Shown>,
  kept: () => Promise<Shown | null>,
): Captured<How> {
  const [current, setCurrent] = useState<Shown | null>(null);
  const [running, setRunning] = useState<Running | null>(null);
  const [error, setError] = useState<string | null>(null);
  const cancelling = useRef<AbortController | null>(null);
  useEffect(() => {
    kept().then((kept) => kept && setCurrent(kept)).catch((failure) => setError(inWords(failure)));
  }, [kept]);

  const start = async (seconds: number, how: How) => {
    const cancel = new AbortController();
    cancelling.current = cancel;
    setRunning({ seconds, startedAt: performance.now() });
    setError(null);
    try {
      setCurrent(await capture(seconds, how, cancel.signal));
    } catch (failure) {
      if (!cancel.signal.aborted) setError(inWords(failure));
    }
    setRunning(null);
  };
  return { current, running, error, start: (seconds, how) => void start(seconds, how), cancel: () => cancelling.current?.abort() };
}
