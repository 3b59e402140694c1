// How the server is asked. Everything is relative to the page, so that it works behind any prefix, and no other host is
// ever asked.

import type { Heap, History, Holders, Leaks, Profile as Table } from './answers';
import { decode, type Profile } from './profile';
import { CPU_TYPES, GOROUTINE_TYPES, LOCK_TYPES, type SampleType } from './sample_type';
import type { Moment } from './view';

/** A profile, and the bytes it came as. */
export interface Fetched {
  profile: Profile;
  file: Uint8Array<ArrayBuffer>;
  /** The address that was asked for, relative to the page's folder. */
  target: string;
}

/** The greatest number of rows that the server gives. */
const MAX_ROWS = '1000';

/** An answer that is no success. Its message has the server's words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    text: string,
  ) {
    super(text || `the server answered with status ${status}`);
  }
}

/** What to ask a profile for. */
export interface Wanted {
  /** `null` is now. */
  at: Moment | null;
  /** Where the difference begins. Without it, the profile is no difference. */
  since?: Moment;
  /** Whether the profile keeps all frames, also those that the server leaves out at the leaf. */
  all?: boolean;
  seconds?: number;
  /** Only blocks that are so many seconds old count as in use. */
  minAge?: number;
}

export function target(name: string, query: Record<string, string>): string {
  const said = new URLSearchParams(query).toString();
  return said ? `${name}?${said}` : name;
}

function query({ at, since, all, seconds, minAge }: Wanted): Record<string, string> {
  return {
    ...(at !== null && { at: String(at) }),
    ...(since !== undefined && { since: String(since) }),
    ...(all && { frames: 'all' }),
    ...(seconds !== undefined && { seconds: String(seconds) }),
    ...(minAge && { min_age: String(minAge) }),
  };
}

export async function history(signal: AbortSignal): Promise<History> {
  return (await ask('history', { signal })).json();
}

/** Returns `null` if the server looks for no suspects. */
export async function leaks(signal: AbortSignal): Promise<Leaks | null> {
  try {
    return await (await ask(target('leaks', { format: 'json' }), { signal })).json();
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

/** Both profiles have the same stacks and values. */
export async function table(name: 'heap' | 'allocs', wanted: Wanted, type: SampleType, signal: AbortSignal): Promise<Heap> {
  const said = { ...query(wanted), format: 'json', top: MAX_ROWS, sample_index: type };
  return (await ask(target(name, said), { signal })).json();
}

export async function profile(wanted: Wanted, signal: AbortSignal): Promise<Fetched> {
  const asked = target('heap', query(wanted));
  const file = new Uint8Array(await (await ask(asked, { signal })).arrayBuffer());
  return { profile: await decode(file), file, target: asked };
}

/** Waits so many seconds, and returns what was busy in them, from `hz` samples in each second of a thread's CPU time. */
export async function cpu(seconds: number, hz: number, signal: AbortSignal): Promise<Fetched> {
  const asked = target('profile', { seconds: String(seconds), hz: String(hz) });
  const file = new Uint8Array(await (await ask(asked, { signal })).arrayBuffer());
  return { profile: await decode(file, CPU_TYPES), file, target: asked };
}

/** What can be asked of waits: who waits, who makes others wait, and who waits at this moment. */
export const WAITS = ['block', 'mutex', 'current'] as const;
export type Waits = (typeof WAITS)[number];

/** Returns what was waited in the next so many seconds, or who waits at this moment. */
export async function waits(seconds: number, of: Waits, signal: AbortSignal): Promise<Fetched> {
  const asked = of === 'current' ? target('block', { current: '1' }) : target(of, { seconds: String(seconds) });
  const file = new Uint8Array(await (await ask(asked, { signal })).arrayBuffer());
  return { profile: await decode(file, LOCK_TYPES), file, target: asked };
}

/** Returns where threads and tasks are now. */
export async function threads(signal: AbortSignal): Promise<Fetched> {
  const file = new Uint8Array(await (await ask('goroutine', { signal })).arrayBuffer());
  return { profile: await decode(file, GOROUTINE_TYPES), file, target: 'goroutine' };
}

/** Returns the same as rows, which have errors and ages. */
export async function threadTable(signal: AbortSignal): Promise<Table> {
  return (await ask(target('goroutine', { format: 'json', top: MAX_ROWS }), { signal })).json();
}

/** Returns what to ask for who holds the blocks from stacks with a function whose name has `text`; those of the suspects if it is empty. */
export function holdersTarget(text: string, query: Record<string, string> = {}): string {
  return target('holders', { ...(text && { stack: text }), ...query });
}

/** Searches the program's memory, which takes half a minute at most. */
export async function holders(text: string): Promise<Holders> {
  return (await ask(holdersTarget(text, { format: 'json' }), {})).json();
}

/** Returns the tasks that nobody can wake. Memory is searched for that too. */
export async function leakedTasks(): Promise<Table> {
  return (await ask(target('goroutineleak', { format: 'json', top: MAX_ROWS }), {})).json();
}

/** What glibc's malloc tells of itself, in bytes. */
export interface Malloc {
  /** What it has from the system. */
  readonly held: number;
  /** What of it is in blocks. */
  readonly used: number;
  /** What of it is kept for later. */
  readonly free: number;
}

/** Returns `null` if the program's allocator is not glibc's, or does not tell. */
export async function malloc(): Promise<Malloc | null> {
  const text = await (await ask(target('metrics', { malloc: '1' }), {})).text();
  const figure = (name: string) => Number(new RegExp(`^glibc_malloc_${name}_bytes (\\S+)`, 'm').exec(text)?.[1] ?? NaN);
  const [held, used, free] = [figure('held'), figure('inuse'), figure('free')];
  return Number.isNaN(held + used + free) ? null : { held, used, free };
}

/** Keeps this moment under a name. */
export async function mark(name: string, replaces: boolean): Promise<void> {
  await ask(target('mark', { name, ...(replaces && { replace: '1' }) }), { method: 'POST' });
}

/** Returns the whole address of a target, without the password that the page may have been opened with. */
export function address(target: string): string {
  const url = new URL(target, location.href);
  url.username = '';
  url.password = '';
  url.hash = '';
  return url.href;
}

async function ask(target: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(address(target), { ...options, credentials: 'same-origin' });
  if (!answer.ok) throw new Refused(answer.status, (await answer.text()).trim());
  return answer;
}
