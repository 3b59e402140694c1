// What the page makes of a profile of waits for locks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columnsOf } from '../src/columns';
import { alike, linesOf } from '../src/lines';
import { inWordsOf } from '../src/locks';
import { losses } from '../src/notes';
import { read } from '../src/profile';
import { LOCK_TYPES } from '../src/sample_type';
import type { File, Shown } from '../src/shown';
import { format, parse, START, withSubject, withType } from '../src/view';
import { NOTHING_TOLD, profileOf } from './profile_of';

const DELAY = 1;
const waited = (stack: string[], times: number, milliseconds: number, labels = {}) => ({ stack, values: [times, milliseconds * 1e6], labels });
const profile = read(
  profileOf([waited(['main', 'write'], 90, 900), waited(['main', 'write'], 10, 50, { tenant: 'a' }), waited(['main', 'read'], 0, 50)], ['contentions', 'delay']),
  LOCK_TYPES,
);

test('rows have the time, its share, how many waits and their mean', () => {
  const lines = linesOf(alike(profile), NOTHING_TOLD, DELAY, 'line');
  const columns = columnsOf({ profile } as Shown, profile, false);
  assert.deepEqual(lines.map((line) => columns.map(({ text }) => text(line))), [
    ['950 ms', '95.0 %', '100', '9.50 ms', 'write'],
    ['50.0 ms', '5.0 %', '0', '–', 'read'],
  ]);
});

test('it is said what was asked for, in which time', () => {
  const said = (name: string) => inWordsOf({ profile, after: { name, seconds: profile.seconds } as File });
  assert.match(said('block-1.pb.gz'), /^Threads waited 1\.00 s in the 2\.0 s until .*, 100 times\.$/);
  assert.match(said('mutex-1.pb.gz'), /^Others waited 1\.00 s for locks that were given back in the 2\.0 s until .*, 100 times\.$/);
  assert.match(said('current-1.pb.gz'), /^At .*, 100 threads waited for other threads, 1\.00 s together until then\.$/);
  assert.throws(() => read(profileOf([]), LOCK_TYPES), /this is no profile of waits for locks: it has no contentions/);
});

test('waits are a subject of their own, with one value', () => {
  const view = { ...withSubject(START, 'locks'), labels: ['tenant=a'] };
  assert.deepEqual([view.tab, withType(view).type, parse(format(view)).labels], ['table', 'delay', ['tenant=a']]);
});

test('sums and what is not seen are no losses, and a deadlock is told', () => {
  const deadlock = 'deadlock: "a" (thread 1) waits for a lock that "b" (thread 2) has';
  const notes = [
    'block: 2 s in 31 contentions, from 30 samples, one for each 1 ms of waiting; longer waits are all there',
    'block: 3 of 9 threads wait at this moment for other threads, for 4 s together so far',
    'no deadlock is seen: no circle of threads that wait for locks of the standard library which only they can have',
  ];
  assert.deepEqual(losses([deadlock, ...notes]), [deadlock]);
});
