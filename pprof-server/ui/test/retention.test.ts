// Whether resident memory is the program's own blocks, in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retentionIn, wordsOf } from '../src/retention';

const MIB = 1024 * 1024;

test('who reads of resident memory learns whether to look for a leak or elsewhere', () => {
  assert.match(retentionIn(90 * MIB, 100 * MIB), /is the program's own blocks \(90\.0 %\): .* look for a leak or for more work/);
  assert.match(retentionIn(70 * MIB, 100 * MIB), /is the program's own blocks/);
  assert.match(retentionIn(69 * MIB, 100 * MIB), /own blocks are 69\.0 % of resident memory\. The rest is what the allocator keeps/);
  assert.match(retentionIn(101 * MIB, 100 * MIB), /^More is in use than is resident/);
});

test('glibc’s figures say who holds the rest', () => {
  const figures = { held: 90 * MIB, used: 20 * MIB, free: 70 * MIB };
  const told = 'glibc has 90.0 MiB from the system: 20.0 MiB in blocks, 70.0 MiB free.';
  assert.equal(wordsOf(figures, 100 * MIB, 18 * MIB), `${told} What is free is kept by the allocator: heap?gc=1 gives it back.`);
  assert.equal(wordsOf(figures, 1000 * MIB, 18 * MIB), told);
  assert.match(wordsOf(figures, 1000 * MIB, 9 * MIB), /C code holds it\.$/);
  assert.match(wordsOf(null, 100 * MIB, 9 * MIB), /not glibc’s, or does not tell/);
});
