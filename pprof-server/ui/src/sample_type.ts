// A sample has a value of each of its profile's types. They stand in the order of the profile.

import { bytes, count, nanoseconds, signed } from './units';

/** Those of a heap profile. */
export const SAMPLE_TYPES = ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'] as const;
/** Those of a CPU profile. */
export const CPU_TYPES = ['samples', 'cpu'] as const;

export type HeapType = (typeof SAMPLE_TYPES)[number];
/** That of a profile of threads and tasks. */
export const GOROUTINE_TYPES = ['goroutine'] as const;

/** Those of profiles of waits for locks. */
export const LOCK_TYPES = ['contentions', 'delay'] as const;

export type SampleType = HeapType | (typeof CPU_TYPES)[number] | (typeof GOROUTINE_TYPES)[number] | (typeof LOCK_TYPES)[number];

/** The types of a profile that the page shows. */
export type Types = typeof SAMPLE_TYPES | typeof CPU_TYPES | typeof GOROUTINE_TYPES | typeof LOCK_TYPES;

/** What the page calls them. */
export const TITLES: Record<HeapType, string> = {
  inuse_space: 'in use, bytes',
  inuse_objects: 'in use, objects',
  alloc_space: 'allocated, bytes',
  alloc_objects: 'allocated, objects',
};

/** Formats a value of this type, with its sign if it is a difference. */
export function format(type: SampleType, value: number, isDifference = false): string {
  const unit = type === 'cpu' || type === 'delay' ? nanoseconds : type.endsWith('_space') ? bytes : count;
  return isDifference ? signed(value, unit) : unit(value);
}
