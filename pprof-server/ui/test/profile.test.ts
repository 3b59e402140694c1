// Decoding, merging and differences, with profiles made here by the same library's encoder.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { decode, difference, read, total } from '../src/profile';
import { profileOf } from './profile_of';

test('a stack is read leaf first, with inlined functions, files and lines', () => {
  const { stacks } = read(profileOf([{ stack: ['main', ['outer', 'middle', 'inner']], values: [1, 2, 3, 4] }]));
  assert.equal(stacks.length, 1);
  assert.deepEqual(stacks[0]!.values, [1, 2, 3, 4]);
  assert.deepEqual(
    stacks[0]!.frames.map((frame) => [frame.function, frame.file, frame.is_inlined]),
    [
      ['inner', '/src/inner.rs', true],
      ['middle', '/src/middle.rs', true],
      ['outer', '/src/outer.rs', false],
      ['main', '/src/main.rs', false],
    ],
  );
  assert.ok(stacks[0]!.frames.every(({ line }) => line > 0));
});

test('samples of one stack, one for each size class, add up', () => {
  const { stacks } = read(
    profileOf([
      { stack: ['main', 'f'], values: [1, 64, 1, 64] },
      { stack: ['main', 'g'], values: [1, 8, 0, 0] },
      { stack: ['main', 'f'], values: [2, 256, 1, 128] },
    ]),
  );
  assert.deepEqual(stacks.map(({ values }) => values), [[3, 320, 2, 192], [1, 8, 0, 0]]);
});

test('negative values and large ones are exact, and what cannot be exact is refused', () => {
  const large = 2 ** 53 - 1;
  const { stacks } = read(profileOf([{ stack: ['f'], values: [-1, -large, large, -(2 ** 32)] }]));
  assert.deepEqual(stacks[0]!.values, [-1, -large, large, -(2 ** 32)]);
  assert.throws(() => read(profileOf([{ stack: ['f'], values: [0, 0, 0, 2n ** 60n] }])), /too large/);
});

test('a location without a function is called by its address', () => {
  const { stacks } = read(profileOf([{ stack: ['main', []], values: [1, 1, 1, 1] }]));
  assert.match(stacks[0]!.frames[0]!.function, /^0x[0-9a-f]+$/);
});

test('what is no heap profile is refused', () => {
  assert.throws(() => read(profileOf([], ['samples', 'cpu'])), /no alloc_objects/);
});

test('it comes gzipped', async () => {
  const profile = await decode(new Uint8Array(gzipSync(profileOf([{ stack: ['f'], values: [1, 2, 3, 4] }]))));
  assert.deepEqual(total(profile), [1, 2, 3, 4]);
});

test('a difference subtracts stack by stack and keeps what shrank', () => {
  const before = read(
    profileOf([
      { stack: ['main', 'gone'], values: [1, 10, 1, 10] },
      { stack: ['main', 'same'], values: [1, 20, 1, 20] },
      { stack: ['main', 'grew'], values: [1, 30, 1, 30] },
    ]),
  );
  const after = read(
    profileOf([
      { stack: ['main', 'grew'], values: [3, 90, 2, 60] },
      { stack: ['main', 'came'], values: [1, 5, 1, 5] },
      { stack: ['main', 'same'], values: [1, 20, 1, 20] },
    ]),
  );
  const { stacks } = difference(before, after);
  assert.deepEqual(Object.fromEntries(stacks.map(({ frames, values }) => [frames[0]!.function, values])), {
    grew: [2, 60, 1, 30],
    came: [1, 5, 1, 5],
    gone: [-1, -10, -1, -10],
  });
  assert.deepEqual(Object.fromEntries(stacks.map(({ frames, end }) => [frames[0]!.function, end])), {
    grew: [3, 90, 2, 60],
    came: [1, 5, 1, 5],
    gone: [0, 0, 0, 0],
  });
  assert.deepEqual(total(difference(after, after)), [0, 0, 0, 0]);
});
