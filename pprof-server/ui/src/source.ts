// Where the page has its figures from: the program that serves it, or the file that it was saved as.

import type { History, Leaks } from './answers';
import * as server from './server';
import { fetchThreads, fetchView, type Asked, type Shown } from './shown';

export interface Source {
  /** When the page was saved, in seconds since 1970 UTC; `null` if the program is asked. */
  readonly savedAt: number | null;
  readonly history: (signal: AbortSignal) => Promise<History>;
  readonly leaks: (signal: AbortSignal) => Promise<Leaks | null>;
  readonly fetchView: (asked: Asked, signal: AbortSignal) => Promise<Shown>;
  readonly fetchThreads: (signal: AbortSignal) => Promise<Shown>;
  /** Return the CPU profile, or the waits, that the page was saved with, if it was. */
  readonly keptCpu: () => Promise<Shown | null>;
  readonly keptWaits: () => Promise<Shown | null>;
}

export const PROGRAM: Source = {
  savedAt: null,
  history: server.history,
  leaks: server.leaks,
  fetchView,
  fetchThreads,
  keptCpu: async () => null,
  keptWaits: async () => null,
};
