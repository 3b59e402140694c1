// This is the life of a capture of CPU time: what is on its way, what was captured, and what went wrong.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Running } from './capture';
import { inWords } from './poll';
import { captureCpu, type Shown } from './shown';
import type { Source } from './source';

export interface CpuRequest {
  /** What was captured last. It stays in sight until the next one is there. */
  readonly current: Shown | null;
  readonly running: Running | null;
  /** Why the last capture failed, in the server's words; `null` if it did not. */
  readonly error: string | null;
  readonly start: (seconds: number, hz: number) => void;
  readonly cancel: () => void;
}

export function useCpu(source: Source): CpuRequest {
  const [current, setCurrent] = useState<Shown | null>(null);
  const [running, setRunning] = useState<Running | null>(null);
  const [error, setError] = useState<string | null>(null);
  const cancelling = useRef<AbortController | null>(null);
  useEffect(() => {
    source.keptCpu().then((kept) => kept && setCurrent(kept)).catch((failure) => setError(inWords(failure)));
  }, [source]);

  const start = async (seconds: number, hz: number) => {
    const cancel = new AbortController();
    cancelling.current = cancel;
    setRunning({ seconds, startedAt: performance.now() });
    setError(null);
    try {
      setCurrent(await captureCpu(seconds, hz, cancel.signal));
    } catch (failure) {
      if (!cancel.signal.aborted) setError(inWords(failure));
    }
    setRunning(null);
  };
  return { current, running, error, start: (seconds, hz) => void start(seconds, hz), cancel: () => cancelling.current?.abort() };
}
