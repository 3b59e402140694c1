// What the page makes of a CPU profile.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columnsOf } from '../src/columns';
import { command } from '../src/command';
import { inWordsOf } from '../src/cpu';
import { narrow, tagExpression } from '../src/filter';
import { alike, linesOf } from '../src/lines';
import { losses } from '../src/notes';
import { read } from '../src/profile';
import { CPU_TYPES } from '../src/sample_type';
import type { Shown } from '../src/shown';
import { nanoseconds } from '../src/units';
import { format, parse, START, withSubject } from '../src/view';
import { NOTHING_TOLD, profileOf } from './profile_of';

const PERIOD = 10_000_000;
const busy = (stack: string[], samples: number, thread?: string) => ({ stack, values: [samples, samples * PERIOD], thread });
const profile = read(
  profileOf(
    [
      busy(['main', 'burn'], 64, 'worker-1'),
      busy(['main', 'burn'], 36, 'worker-2'),
      busy(['main', 'idle'], 4, 'worker-1'),
      busy(['[lost samples]'], 6),
    ],
    ['samples', 'cpu'],
  ),
  CPU_TYPES,
);
const shown = {
  profile, isDifference: false, isCapture: true, before: null, after: { seconds: profile.seconds }, details: new Map(), notes: [],
} as unknown as Shown;
const CPU = 1;

test('stacks of different threads are kept apart, and a profile of another kind is refused with a sentence', () => {
  assert.deepEqual(
    profile.stacks.map(({ frames, thread, values }) => [frames[0]!.function, thread, ...values]),
    [['burn', 'worker-1', 64, 640e6], ['burn', 'worker-2', 36, 360e6], ['idle', 'worker-1', 4, 40e6], ['[lost samples]', '', 6, 60e6]],
  );
  assert.deepEqual([profile.period, profile.durationSeconds], [PERIOD, 2]);
  assert.throws(() => read(profileOf([]), CPU_TYPES), /this is no CPU profile: it has no samples/);
  assert.throws(() => read(profileOf([], ['samples', 'cpu'])), /this is no heap profile: it has no alloc_objects/);
});

test('it is said how much was busy, how many cores that is, and what is lost', () => {
  const said = inWordsOf(shown);
  assert.match(said, /^1\.10 s of CPU time in the 2\.0 s until .*, 0\.55 cores\. 110 samples, 6 lost, of threads with 2 names\.$/);
  const whole = { ...profile, stacks: profile.stacks.slice(2, 3) };
  assert.match(inWordsOf({ ...shown, profile: whole }), /^40\.0 ms of .* 4 samples, none lost, of threads with 1 name\.$/);
});

test('rows are of lines or of threads, with the error that the root of the samples is', () => {
  const told = (group: 'line' | 'thread') => {
    const lines = linesOf(alike(profile, group), NOTHING_TOLD, CPU, group);
    const columns = columnsOf(shown, profile, false);
    return lines.map((line) => columns.map(({ text }) => text(line))).sort((a, b) => b[3]!.length - a[3]!.length || Number(b[3]) - Number(a[3]));
  };
  assert.deepEqual(told('line'), [
    ['1.00 s', '100 ms', '90.9 %', '100', '2', 'burn'],
    ['60.0 ms', '24.5 ms', '5.5 %', '6', '1', '[lost samples]'],
    ['40.0 ms', '20.0 ms', '3.6 %', '4', '1', 'idle'],
  ]);
  assert.deepEqual(told('thread').map((row) => [row[0], row.at(-1)]), [['680 ms', 'worker-1'], ['360 ms', 'worker-2'], ['60.0 ms', 'no name']]);
});

test('one thread is what is left of all, in the command too', () => {
  assert.deepEqual(narrow(profile, { ...START, thread: 'worker-2' }).stacks.map(({ values }) => values[0]), [36]);
  assert.equal(tagExpression([['thread', 'a,b(1)']]), 'thread=^a\\x2cb\\(1\\)$');
  const said = command({ ...START, type: 'cpu', tab: 'table', before: null, after: 'cpu.pb.gz', hidden: null, thread: 'worker-2', kind: null });
  assert.equal(said, "go tool pprof -top -cum -sample_index=cpu '-tagfocus=thread=^worker-2$' cpu.pb.gz".replace("'-tagfocus=", "-tagfocus='"));
});

test('the address tells the subject, and what is of one profile is left when another is looked at', () => {
  const view = { ...START, subject: 'cpu' as const, tab: 'flame' as const, thread: 'worker 1', search: 'x', zoom: 'a1' };
  assert.equal(format(view), 'of=cpu&tab=flame&search=x&thread=worker+1&zoom=a1');
  assert.deepEqual(parse(format(view)), view);
  assert.deepEqual(withSubject(view, 'heap'), { ...view, subject: 'heap', thread: null, zoom: '' });
  assert.equal(withSubject({ ...START, tab: 'suspects' }, 'cpu').tab, 'flame');
});

test('what the server says of the capture is no loss, and what is lost is', () => {
  const loss = 'the stacks of 60 ms of CPU time are lost, which stands under [lost samples]: …';
  const notes = ['cpu: 1.1 s of CPU time in 2 s, …', loss, "threads of the profiler's own used 0.2 ms, and are left out"];
  assert.deepEqual(losses(notes), [loss]);
});

test('times have three digits', () => {
  const times = [0, 999, 1000, 12_340, 999_499, 999_500, 10_000_000, 999_499_999, 999_500_000, 61.23e9, -5e6];
  assert.deepEqual(times.map(nanoseconds), [
    '0 ns', '999 ns', '1.00 µs', '12.3 µs', '999 µs', '1.00 ms', '10.0 ms', '999 ms', '1.00 s', '61.2 s', '−5.00 ms',
  ]);
});
