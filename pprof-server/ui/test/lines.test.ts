// Lines: which stacks are one row, and what is known of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Errors, Heap, Row } from '../src/answers';
import { around, containing, narrow } from '../src/filter';
import { alike, detailsOf, keyOf, linesOf } from '../src/lines';
import { difference, read, type Profile } from '../src/profile';
import { START } from '../src/view';
import { NOTHING_TOLD, profileOf, type Made } from './profile_of';

const INUSE_SPACE = 3;
const inuse = (stack: Made['stack'], value: number): Made => ({ stack, values: [0, 0, 1, value] });

function answer(rows: Row[]): Heap {
  return { rows } as unknown as Heap;
}

function row({ stacks }: Profile, index: number, samples: number, error: number | null, age: number | null): Row {
  const errors = { inuse_space: error } as Errors;
  const values = { inuse_samples: samples } as Row['values'];
  return { stack: [...stacks[index]!.whole], values, errors, age: age === null ? null : { median_seconds: age, max_seconds: 99 } };
}

test('stacks that allocate at one line are one row, and their samples, errors and ages are told together', () => {
  const profile = read(
    profileOf([inuse(['main', 'a', 'f:7'], 5), inuse(['main', 'b', 'f:7'], 30), inuse(['main', 'b', 'f:8'], 2), inuse(['main', 'c', 'f:8'], 1)]),
  );
  const details = detailsOf(answer([row(profile, 0, 1, 3, 10), row(profile, 1, 6, 4, 70), row(profile, 2, 2, 9, null)]), null);
  const [seven, eight] = linesOf(alike(profile), { ...NOTHING_TOLD, details }, INUSE_SPACE, 'line');
  assert.deepEqual([seven!.frame?.function, seven!.frame?.line, seven!.values], ['f', 7, [0, 0, 2, 35]]);
  assert.deepEqual(seven!.stacks.map(({ values }) => values[3]), [30, 5]);
  assert.deepEqual(seven!.samples, { value: 7, isLeast: false });
  assert.deepEqual(seven!.error, { value: 5, isLeast: false });
  assert.deepEqual(seven!.age, { least: 10, most: 70 });
  // The server told nothing of the other stack of this line.
  assert.deepEqual([eight!.samples, eight!.error, eight!.age], [{ value: 2, isLeast: true }, { value: 9, isLeast: true }, null]);
  assert.notEqual(seven!.id, eight!.id);
  assert.deepEqual(linesOf(alike(profile), NOTHING_TOLD, INUSE_SPACE, 'line').map(({ samples }) => samples), [null, null]);
});

test('rows are of functions or of crates too', () => {
  const profile = read(profileOf([inuse(['main', 'a::f:7'], 5), inuse(['main', 'a::f:8'], 30), inuse(['main', 'a::g'], 2), inuse(['main'], 1)]));
  const rows = (group: 'function' | 'crate') => {
    return linesOf(alike(profile), NOTHING_TOLD, INUSE_SPACE, group).map(({ name, frame, values, stacks }) => [name, frame, values[3], stacks.length]);
  };
  assert.deepEqual(rows('function'), [['a::f', null, 35, 2], ['a::g', null, 2, 1], ['main', null, 1, 1]]);
  assert.deepEqual(rows('crate'), [['a', null, 37, 3], ['no crate', null, 1, 1]]);
});

test('stacks that differ in what is inlined are one to the server, and counted once', () => {
  const profile = read(profileOf([inuse(['main:1', ['f:3', 'g:3']], 8), inuse(['main:1', 'f:3', 'g:3'], 2)]));
  assert.equal(profile.stacks.length, 2);
  assert.equal(keyOf(profile.stacks[0]!.whole), keyOf(profile.stacks[1]!.whole));
  const [line] = linesOf(alike(profile), { ...NOTHING_TOLD, details: detailsOf(answer([row(profile, 0, 3, 1, null)]), null) }, INUSE_SPACE, 'line');
  assert.deepEqual([line!.stacks.length, line!.values[3], line!.samples], [1, 10, { value: 3, isLeast: false }]);
});

test('lines of a difference know what they hold at its end, and the ages of then', () => {
  const before = read(profileOf([inuse(['main', 'f'], 40), inuse(['main', 'gone'], 3)]));
  const after = read(profileOf([inuse(['main', 'f'], 100)]));
  const details = detailsOf(answer([row(after, 0, 9, 9, 12)]), answer([row(after, 0, 4, 2, null)]));
  const lines = linesOf(alike(difference(before, after)), { ...NOTHING_TOLD, details }, INUSE_SPACE, 'line');
  assert.deepEqual(
    lines.map(({ name, values, end, samples, age }) => [name, values[3], end?.[3], samples?.value, age?.most]),
    [['f', 60, 100, 4, 12], ['gone', -3, 0, undefined, undefined]],
  );
});

test('stacks are narrowed to those that a function is on, and to those that others are not on', () => {
  const profile = read(profileOf([inuse(['main', 'a', 'f'], 1), inuse(['main', 'b', 'f'], 2), inuse(['main', 'ab'], 4)]));
  const left = (focus: string | null, ignore: string[]) => narrow(profile, { ...START, focus, ignore }).stacks.map(({ values }) => values[3]);
  assert.equal(narrow(profile, START), profile);
  assert.deepEqual(left('a', []), [1]);
  assert.deepEqual(left(containing(' A.rs '), []), [1]);
  assert.deepEqual(left(containing('B'), []), [2, 4]);
  assert.deepEqual(left('f', ['a']), [2]);
  assert.deepEqual(left(null, ['a', containing('b.rs')]), []);
  assert.deepEqual(left(null, ['b']), [1, 4]);
});

test('around a function there are its callers and what it calls, from its outermost call on', () => {
  const profile = read(profileOf([inuse(['main', 'a', 'f', 'g', 'f', 'h'], 1), inuse(['main', 'b', 'f'], 2), inuse(['main', 'a'], 4)]));
  const { callers, callees } = around(profile, 'f');
  const names = (of: Profile) => of.stacks.map(({ frames, values }) => [values[3], ...frames.map((frame) => frame.function)]);
  assert.deepEqual(names(callers), [[1, 'f', 'a', 'main'], [2, 'f', 'b', 'main']]);
  assert.deepEqual(names(callees), [[1, 'h', 'f', 'g', 'f'], [2, 'f']]);
});
