// Each sample has four values. They stand in the order of a heap profile.

import { bytes, count, signed } from './units';

export const SAMPLE_TYPES = ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'] as const;

export type SampleType = (typeof SAMPLE_TYPES)[number];

/** What the page calls them. */
export const TITLES: Record<SampleType, string> = {
  inuse_space: 'in use, bytes',
  inuse_objects: 'in use, objects',
  alloc_space: 'allocated, bytes',
  alloc_objects: 'allocated, objects',
};

/** Formats a value of this type, with its sign if it is a difference. */
export function format(type: SampleType, value: number, isDifference = false): string {
  const unit = type.endsWith('_space') ? bytes : count;
  return isDifference ? signed(value, unit) : unit(value);
}
