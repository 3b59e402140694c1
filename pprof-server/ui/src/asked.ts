// What is asked only when the user wants it, because it costs the program a search of its memory: who holds blocks, and which tasks
// nobody can wake. Each question has its last answer.

import { useState } from 'preact/hooks';
import { inWords } from './poll';

export interface Answered<T> {
  /** The last answer. It stays in sight until the next one is there. */
  readonly answer: T | null;
  readonly isLoading: boolean;
  /** Why the last request failed, in the server's words; `null` if it did not. */
  readonly error: string | null;
}

export interface Asked<T> {
  readonly to: (question: string) => Answered<T>;
  readonly ask: (question: string) => void;
}

const NOT_ASKED = { answer: null, isLoading: false, error: null };

/** Asks by `fetch`, which must be the same function each time. */
export function useAsked<T>(fetch: (question: string) => Promise<T>): Asked<T> {
  const [answers, setAnswers] = useState<ReadonlyMap<string, Answered<T>>>(new Map());
  const to = (question: string) => answers.get(question) ?? NOT_ASKED;
  const change = (question: string, part: Partial<Answered<T>>) =>
    setAnswers((before) => new Map(before).set(question, { ...(before.get(question) ?? NOT_ASKED), ...part }));
  const ask = (question: string) => {
    if (to(question).isLoading) return;
    change(question, { isLoading: true, error: null });
    fetch(question).then(
      (answer) => change(question, { answer, isLoading: false }),
      (failure) => change(question, { isLoading: false, error: inWords(failure) }),
    );
  };
  return { to, ask };
}
