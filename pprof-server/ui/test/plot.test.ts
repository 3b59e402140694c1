// The labels of the axis of time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIME_STEPS, tickLabel } from '../src/plot';

test('no two labels of the axis of time that follow each other are the same', () => {
  for (const step of TIME_STEPS) {
    const labels = Array.from({ length: 20 }, (_, index) => tickLabel(1_800_000_000 + index * step, step));
    assert.deepEqual(labels.filter((label, index) => label === labels[index - 1]), [], `${step} s`);
  }
});
