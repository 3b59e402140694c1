// This is the life of a request: what is shown, what is on its way, and what went wrong.
//
// A view asks for a profile, and the user may capture another one beside it. The view may change while the server works, so
// every answer to it says which question it answers, and only the answer to the last question ends the waiting.

import { useEffect, useReducer, useRef } from 'preact/hooks';
import type { Running } from './capture';
import { inWords } from './poll';
import { capture, fetchView, type Shown } from './shown';
import type { View } from './view';

export interface Requests {
  /** Rises whenever the user asks for the same view anew. */
  readonly turn: number;
  /** The last profile that was fetched for a view. It stays in sight until the next one is there. */
  readonly fetched: Shown | null;
  /** The last question that has an answer, be it a profile or a failure. */
  readonly answered: string | null;
  /** `question` is `null` if it was a capture that failed. */
  readonly failure: { readonly question: string | null; readonly why: string } | null;
  /** The capture that the server waits for. */
  readonly running: Running | null;
  /** A capture that has ended. It is shown instead of `fetched`. */
  readonly captured: Shown | null;
}

export type Action =
  | { readonly type: 'asked anew' }
  | { readonly type: 'moments changed' }
  | { readonly type: 'fetched'; readonly question: string; readonly shown: Shown }
  | { readonly type: 'failed'; readonly question: string; readonly why: string }
  | { readonly type: 'capture began'; readonly running: Running }
  | { readonly type: 'captured'; readonly shown: Shown }
  | { readonly type: 'capture failed'; readonly why: string }
  | { readonly type: 'capture cancelled' };

export const IDLE: Requests = { turn: 0, fetched: null, answered: null, failure: null, running: null, captured: null };

export function next(now: Requests, action: Action): Requests {
  switch (action.type) {
    case 'asked anew':
      return { ...now, turn: now.turn + 1 };
    case 'moments changed':
      return { ...now, captured: null, failure: null };
    case 'fetched':
      return { ...now, fetched: action.shown, answered: action.question };
    case 'failed':
      return { ...now, answered: action.question, failure: { question: action.question, why: action.why } };
    case 'capture began':
      return { ...now, running: action.running };
    case 'captured':
      return { ...now, running: null, captured: action.shown, failure: null };
    case 'capture failed':
      return { ...now, running: null, failure: { question: null, why: action.why } };
    case 'capture cancelled':
      return { ...now, running: null };
  }
}

/** Returns what `view` asks for, as a text that differs where the answers would differ. */
export function questionOf(view: View, { turn, fetched }: Requests): string {
  // Mostly all stacks have rows. Otherwise other stacks are the largest in another value.
  const typeOfRows = fetched && (fetched.rest || fetched.idleStacks > 0) ? view.type : null;
  return JSON.stringify([view.from, view.to, typeOfRows, view.hidesStd, turn]);
}

/** Returns what went wrong, if that still matters for `question`. */
export function errorOf({ failure }: Requests, question: string): string | null {
  return failure && (failure.question === null || failure.question === question) ? failure.why : null;
}

export interface Request {
  readonly current: Shown | null;
  readonly isCaptured: boolean;
  readonly isLoading: boolean;
  readonly error: string | null;
  readonly running: Running | null;
  readonly askAnew: () => void;
  /** Ends when the capture does. The result is true if the capture is shown. */
  readonly startCapture: (seconds: number) => Promise<boolean>;
  readonly cancelCapture: () => void;
}

/** Fetches what `view` shows, as soon as `isReady`. */
export function useRequest(view: View, isReady: boolean): Request {
  const [requests, dispatch] = useReducer(next, IDLE);
  const { turn, fetched, answered, running, captured } = requests;
  const cancelling = useRef<AbortController | null>(null);
  const question = questionOf(view, requests);

  useEffect(() => {
    if (!isReady) return undefined;
    const leaving = new AbortController();
    fetchView(view, leaving.signal)
      .then((shown) => dispatch({ type: 'fetched', question, shown }))
      .catch((failure) => !leaving.signal.aborted && dispatch({ type: 'failed', question, why: inWords(failure) }));
    return () => leaving.abort();
  }, [isReady, question]);
  useEffect(() => dispatch({ type: 'moments changed' }), [view.from, view.to, turn]);

  const startCapture = async (seconds: number) => {
    const cancel = new AbortController();
    cancelling.current = cancel;
    dispatch({ type: 'capture began', running: { seconds, startedAt: performance.now() } });
    try {
      dispatch({ type: 'captured', shown: await capture(seconds, view.type, view.hidesStd, cancel.signal) });
      return true;
    } catch (failure) {
      dispatch(cancel.signal.aborted ? { type: 'capture cancelled' } : { type: 'capture failed', why: inWords(failure) });
      return false;
    }
  };

  return {
    current: captured ?? fetched,
    isCaptured: captured !== null,
    // This is told by comparison, so that at no moment the old profile is taken for that of a new view.
    isLoading: answered !== question,
    error: errorOf(requests, question),
    running,
    askAnew: () => dispatch({ type: 'asked anew' }),
    startCapture,
    cancelCapture: () => cancelling.current?.abort(),
  };
}
