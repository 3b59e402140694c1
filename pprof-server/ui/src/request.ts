// This is the life of a request: what is shown, what is on its way, and what went wrong.
//
// A view asks for a profile, and the user may capture another one beside it. The view may change while the server works, so
// every answer to it says which question it answers, and only the answer to the last question ends the waiting.

import { useEffect, useMemo, useReducer, useRef } from 'preact/hooks';
import type { Running } from './capture';
import { inWords } from './poll';
import { baselineOf, capture, since, type Baseline, type Shown } from './shown';
import type { Source } from './source';
import type { Span, View } from './view';

export interface Requests {
  /** Rises whenever the user asks for the same view anew. */
  readonly turn: number;
  /** The last profile that was fetched for a view. It stays in sight until the next one is there. */
  readonly fetched: Shown | null;
  /** The last question that has an answer, be it a profile or a failure. */
  readonly answered: string | null;
  /** `question` is `null` if it was something else that failed. If `isGone`, a moment is not recorded, or not any more. */
  readonly failure: { readonly question: string | null; readonly why: string; readonly isGone?: boolean } | null;
  /** The capture that the server waits for. */
  readonly running: Running | null;
  /** The last capture. A view of that time shows it instead of what is fetched. */
  readonly captured: { readonly shown: Shown; readonly span: Span } | null;
  /** What is fetched is compared with this, if the user chose a file. */
  readonly baseline: Baseline | null;
}

export type Action =
  | { readonly type: 'asked anew' }
  | { readonly type: 'moments changed' }
  | { readonly type: 'fetched'; readonly question: string; readonly shown: Shown }
  | { readonly type: 'failed'; readonly question: string | null; readonly why: string; readonly isGone?: boolean }
  | { readonly type: 'capture began'; readonly running: Running }
  | { readonly type: 'captured'; readonly shown: Shown; readonly span: Span }
  | { readonly type: 'capture failed'; readonly why: string }
  | { readonly type: 'capture cancelled' }
  | { readonly type: 'compares with'; readonly baseline: Baseline | null };

export const IDLE: Requests = {
  turn: 0,
  fetched: null,
  answered: null,
  failure: null,
  running: null,
  captured: null,
  baseline: null,
};

export function next(now: Requests, action: Action): Requests {
  switch (action.type) {
    case 'asked anew':
      return { ...now, turn: now.turn + 1 };
    case 'moments changed':
      return { ...now, failure: null };
    case 'fetched':
      return { ...now, fetched: action.shown, answered: action.question };
    case 'failed':
      return {
        ...now,
        answered: action.question ?? now.answered,
        failure: { question: action.question, why: action.why, isGone: action.isGone ?? false },
      };
    case 'capture began':
      return { ...now, running: action.running };
    case 'captured':
      return { ...now, running: null, captured: { shown: action.shown, span: action.span }, baseline: null, failure: null };
    case 'capture failed':
      return { ...now, running: null, failure: { question: null, why: action.why } };
    case 'capture cancelled':
      return { ...now, running: null };
    case 'compares with':
      return { ...now, baseline: action.baseline, failure: null };
  }
}

/** Returns what `view` asks for, as a text that differs where the answers would differ. */
export function questionOf(view: View, { turn, fetched, baseline }: Requests): string {
  // Mostly all stacks have rows. Otherwise other stacks are the largest in another value.
  const typeOfRows = fetched?.isPartial ? view.type : null;
  const moments = [baseline ? null : view.from, view.to, view.capture?.start, view.capture?.seconds];
  return JSON.stringify([...moments, view.minAge, typeOfRows, view.hides === 'nothing', turn]);
}

/** Returns the capture that `view` is of, if it is still there. */
export function capturedFor(view: Pick<View, 'capture'>, { captured }: Requests): Shown | null {
  const isSame = view.capture?.start === captured?.span.start && view.capture?.seconds === captured?.span.seconds;
  return captured && isSame ? captured.shown : null;
}

/** Returns what went wrong, if that still matters for `question`. */
export function errorOf({ failure }: Requests, question: string): string | null {
  return failure && (failure.question === null || failure.question === question) ? failure.why : null;
}

export interface Request {
  readonly current: Shown | null;
  readonly baseline: Baseline | null;
  readonly isLoading: boolean;
  readonly error: string | null;
  /** Whether the error is that a moment is not recorded, or not any more. */
  readonly isGone: boolean;
  readonly running: Running | null;
  readonly askAnew: () => void;
  /** Ends when the capture does, with the time that it took in; with `null` if it failed or was cancelled. */
  readonly startCapture: (seconds: number) => Promise<Span | null>;
  readonly cancelCapture: () => void;
  /** Compares with a file of the user's, or with none. */
  readonly compare: (file: File | null) => Promise<void>;
}

/** Fetches what `view` shows from `source`, as soon as `isReady`. */
export function useRequest(view: View, isReady: boolean, source: Source): Request {
  const [requests, dispatch] = useReducer(next, IDLE);
  const { turn, fetched, answered, running, baseline } = requests;
  const cancelling = useRef<AbortController | null>(null);
  const question = questionOf(view, requests);
  const captured = capturedFor(view, requests);
  const isCaptured = captured !== null;

  useEffect(() => {
    if (!isReady || isCaptured) return undefined;
    const leaving = new AbortController();
    source
      .fetchView(baseline ? { ...view, from: null } : view, leaving.signal)
      .then((shown) => dispatch({ type: 'fetched', question, shown }))
      .catch((failure) => {
        const isGone = (failure as { status?: number }).status === 404;
        if (!leaving.signal.aborted) dispatch({ type: 'failed', question, why: inWords(failure), isGone });
      });
    return () => leaving.abort();
  }, [isReady, isCaptured, question]);
  useEffect(() => dispatch({ type: 'moments changed' }), [view.from, view.to, view.capture, turn]);
  const compared = useMemo(
    () => (baseline && fetched && !fetched.isDifference ? since(baseline, fetched) : fetched),
    [baseline, fetched],
  );

  const startCapture = async (seconds: number) => {
    const cancel = new AbortController();
    cancelling.current = cancel;
    dispatch({ type: 'capture began', running: { seconds, startedAt: performance.now() } });
    try {
      const taken = await capture(seconds, view, cancel.signal);
      dispatch({ type: 'captured', ...taken });
      return taken.span;
    } catch (failure) {
      dispatch(cancel.signal.aborted ? { type: 'capture cancelled' } : { type: 'capture failed', why: inWords(failure) });
      return null;
    }
  };
  const error = errorOf(requests, question);

  return {
    current: captured ?? compared,
    baseline: isCaptured ? null : baseline,
    // This is told by comparison, so that at no moment the old profile is taken for that of a new view.
    isLoading: !isCaptured && answered !== question,
    error,
    isGone: error !== null && (requests.failure?.isGone ?? false),
    running,
    askAnew: () => dispatch({ type: 'asked anew' }),
    startCapture,
    cancelCapture: () => cancelling.current?.abort(),
    compare: async (file) => dispatch(await comparing(file)),
  };
}

/** Returns what comes of comparing with a file of the user's, or with none. */
async function comparing(file: File | null): Promise<Action> {
  try {
    return { type: 'compares with', baseline: file && (await baselineOf(file)) };
  } catch (failure) {
    return { type: 'failed', question: null, why: inWords(failure) };
  }
}
