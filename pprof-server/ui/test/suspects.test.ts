// What the tab of suspects says of when, how much and how sure.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Leaks, Suspect } from '../src/answers';
import { growthOf, headingOf, nameOf } from '../src/suspects';
import { clock, rate } from '../src/units';

const MIB = 1024 * 1024;
const frame = (name: string) => ({ function: name, file: '', line: 0, is_inlined: false });
const suspect = (part: Partial<Suspect>) => part as Suspect;
const leaks = (part: Partial<Leaks>): Leaks =>
  ({ first_verdict_in_seconds: null, window_seconds: 600, records: 31, suspects: [], ...part }) as Leaks;

test('while it is too early nothing is called harmless', () => {
  const early = { first_verdict_in_seconds: 40 };
  assert.equal(
    headingOf(leaks({ ...early, suspects: [suspect({})] })),
    'Too early: the first verdict comes in about 40 s. Until then, this grew, which may be chance:',
  );
  assert.doesNotMatch(headingOf(leaks(early)), /Nothing grows/);
  assert.match(headingOf(leaks({})), /^Nothing grows that chance alone would not explain, in the last 10 min, by 31 records\.$/);
  assert.equal(headingOf(leaks({ suspects: [suspect({})] })), 'What grew in the last 10 min, by 31 records, whatever moments are chosen above.');
  assert.match(headingOf(leaks({ suspects: null })), /^Nothing was sampled/);
});

test('a card says how much it grew in which time, and since when', () => {
  const grew = { growth_bytes: 14.5 * MIB, growth_error_bytes: MIB, growth_seconds: 60, since_nanos: 1e18 };
  const since = clock(1e9);
  const told = (part: Partial<Suspect>) => growthOf(suspect({ ...grew, until_nanos: null, is_older: false, ...part }));
  assert.equal(told({}), `+14.5 MiB ± 1.00 MiB in 60 s; growing since ${since}`);
  assert.equal(told({ is_older: true }), `+14.5 MiB ± 1.00 MiB in 60 s; growing since ${since} or before`);
  assert.equal(told({ until_nanos: 1e18 + 60e9 }), `+14.5 MiB ± 1.00 MiB in 60 s, from ${since} to ${clock(1e9 + 60)}; not since`);
});

test('a rate is told in the unit of the time in which it was seen', () => {
  assert.equal(rate(60 * MIB, 60), '1.00 MiB/min');
  assert.equal(rate(60 * MIB, 1800), '60.0 MiB/h');
});

test('a suspect is called by the program’s own function', () => {
  const stack = [frame('hashbrown::grow'), frame('shop::add')];
  assert.equal(nameOf({ stack, named_frame: 1 }), 'shop::add');
  assert.equal(nameOf({ stack: [], named_frame: 0 }), '(no stack)');
});
