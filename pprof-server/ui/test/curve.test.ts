// The curves of the time line.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { History } from '../src/answers';
import { allocationRate, curveOf, inWords, type Curve } from '../src/curve';
import { clock } from '../src/units';

const MIB = 1024 * 1024;
const columns = (of: (index: number) => number | null) => [0, 1, 2].map(of);
const history = {
  points: {
    time_seconds: columns((index) => 100 + index),
    inuse_space: columns((index) => index * MIB),
    inuse_space_error_bytes: columns(() => null),
    alloc_space: columns((index) => 3 * index * MIB),
    rss_bytes: columns(() => 8 * MIB),
    memory_usage_bytes: columns(() => null),
    memory_limit_bytes: columns(() => null),
  },
  now: {
    time_nanos: 101.5e9, inuse_space: 5 * MIB, inuse_space_error_bytes: MIB, alloc_space: 9 * MIB, rss_bytes: 9 * MIB,
    memory_usage_bytes: 10 * MIB, memory_limit_bytes: 64 * MIB,
  },
} as unknown as History;

test('now is the last point, and a point that is as new is left out', () => {
  const curve = curveOf(history);
  assert.deepEqual(curve.times, [100, 101, 101.5]);
  assert.deepEqual(curve.inuse, [0, MIB, 5 * MIB]);
  assert.deepEqual(curve.limit, [null, null, 64 * MIB]);
});

test('what is allocated each second is known between two points', () => {
  const curve = curveOf(history);
  assert.equal(allocationRate(curve, 0, 1), null);
  assert.equal(allocationRate(curve, 1, 1), 3 * MIB);
  // Half a second ago there was a point; a second ago is between two, and the earlier one counts.
  assert.equal(allocationRate(curve, 2, 0.5), 12 * MIB);
  assert.equal(allocationRate(curve, 2, 10), 6 * MIB);
  assert.equal(allocationRate({ ...curve, allocated: [null, null, MIB] } as Curve, 2, 10), null);
});

test('a point is told in words, without what is unknown', () => {
  const curve = curveOf(history);
  assert.equal(inWords(curve, 0, false), `${clock(100)} · in use 0 B · resident 8.00 MiB`);
  assert.equal(
    inWords(curve, 2, true),
    `now, ${clock(101.5)} · in use 5.00 MiB ± 1.00 MiB · resident 9.00 MiB · control group 10.0 MiB · limit 64.0 MiB · allocates 6.00 MiB/s`,
  );
});
