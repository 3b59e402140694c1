// What the page makes of a profile of threads and tasks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Leaks, Profile as Answer, SuspectTasks } from '../src/answers';
import { columnsOf } from '../src/columns';
import { command } from '../src/command';
import { narrow } from '../src/filter';
import { alike, byOwn, detailsOf, linesOf } from '../src/lines';
import { losses } from '../src/notes';
import { read } from '../src/profile';
import { GOROUTINE_TYPES } from '../src/sample_type';
import type { Shown } from '../src/shown';
import { suspicionsOf } from '../src/suspicions';
import { tasksInWords } from '../src/task_waits';
import { inWordsOf } from '../src/threads';
import { format, parse, START, tabOf, withSubject, withType } from '../src/view';
import { profileOf, type Made } from './profile_of';

const task = (stack: string[], many: number, labels: Record<string, string>): Made => ({ stack, values: [many], labels: { kind: 'task', ...labels } });
const thread = (stack: string[], name: string, labels: Record<string, string>): Made => ({
  stack, values: [1], thread: name, labels: { kind: 'thread', ...labels },
});
const profile = read(
  profileOf(
    [
      task(['own::serve', 'own::read:7', 'lib::Receiver::recv'], 900, { state: 'suspended' }),
      task(['own::serve', 'own::read:7', 'lib::Receiver::recv'], 30, { state: 'scheduled' }),
      task(['own::serve', 'own::read:7', 'lib::sleep'], 70, { state: 'suspended' }),
      task(['own::spawn'], 50, { unread: 'no-types' }),
      thread(['lib::worker', 'lib::park'], 'worker-1', { state: 'sleeping', waits: 'futex' }),
      thread(['lib::worker', 'lib::park'], 'worker-2', { state: 'sleeping', waits: 'epoll_wait' }),
    ],
    ['goroutine'],
  ),
  GOROUTINE_TYPES,
);
const [recv] = profile.stacks;
const answer = {
  rows: [
    { stack: recv!.whole, values: { goroutine: 930, samples: 31 }, errors: { goroutine: 30 }, age: { median_seconds: 20, max_seconds: 90 } },
    { stack: profile.stacks[2]!.whole, values: { goroutine: 70, samples: 3 }, errors: { goroutine: 40 }, age: { median_seconds: 5, max_seconds: 600 } },
    { stack: profile.stacks[3]!.whole, values: { goroutine: 50, samples: 2 }, errors: { goroutine: 0 }, age: null },
  ],
} as unknown as Answer;
const leaks = {
  kinds: [{ kind: 'leak', title: 'a leak' }, { kind: 'growing', title: 'growing' }],
  suspects: [
    { kind: 'growing', tasks: { waits: [{ stack: recv!.whole }] } },
    { kind: 'leak', tasks: { waits: [{ stack: recv!.whole }, { stack: [] }] } },
    { kind: 'leak', tasks: null },
  ],
} as unknown as Leaks;
const shown = { profile, isDifference: false, after: { seconds: profile.seconds }, details: detailsOf(answer, null), suspicions: suspicionsOf(leaks) } as unknown as Shown;
const told = { details: shown.details, suspicions: shown.suspicions, leadOf: byOwn((frame) => frame.function.startsWith('own::')) };

test('rows are of the innermost line of one’s own, with what is waited for, ages, errors and suspicions', () => {
  const lines = linesOf(alike(profile), told, 0, 'line').sort((a, b) => b.values[0]! - a.values[0]!);
  const columns = columnsOf(shown, profile, false);
  assert.deepEqual(
    lines.map((line) => columns.map(({ text }) => text(line))),
    [
      ['1\u202f000', '50', 'task', 'suspended 970, scheduled 30', 'lib::Receiver::recv, lib::sleep', '5.0 s – 20 s', '10 min', 'a leak', 'own::read'],
      ['50', '0', 'task', 'not read: no-types', '–', '–', '–', '', 'own::spawn'],
      ['2', '–', 'thread', 'sleeping', 'futex, epoll_wait', '–', '–', '', 'lib::park'],
    ],
  );
  assert.equal(lines[0]!.frame!.line, 7);
  const value = (id: string) => lines.map((line) => columns.find((column) => column.id === id)!.value(line));
  assert.deepEqual(value('suspicion'), [2, undefined, undefined]);
  assert.deepEqual(value('oldest'), [600, undefined, undefined]);
});

test('it is said how many threads and tasks there are, with the error of the tasks', () => {
  assert.match(inWordsOf(shown), /^At .*, 2 threads and 1\u202f050 ± 50 tasks\.$/);
  const threads = { ...shown, profile: narrow(profile, { ...START, kind: 'thread' }), details: new Map() };
  assert.match(inWordsOf(threads), /^At .*, 2 threads and no task that is known\.$/);
});

test('threads or tasks alone are what is left of all, in the command too', () => {
  assert.deepEqual(narrow(profile, { ...START, kind: 'thread' }).stacks.map(({ thread }) => thread), ['worker-1', 'worker-2']);
  const view = { ...START, subject: 'threads' as const, kind: 'task' as const };
  const said = command({ ...withType(view), tab: 'table', before: null, after: 'goroutine.pb.gz', hidden: null });
  assert.equal(said, "go tool pprof -top -cum -sample_index=goroutine -tagfocus='kind=^task$' goroutine.pb.gz");
  assert.deepEqual(parse(format(view)), view);
  assert.equal(withSubject(view, 'cpu').kind, null);
  assert.deepEqual([tabOf(view, true), tabOf({ ...view, tab: 'about' }, true), tabOf(START, true)], ['table', 'table', 'suspects']);
});

test('what could not be read is a loss, and how many there are is none', () => {
  const lost = [
    'tasks: unread=no-types: 3 samples: the debug information does not have their types',
    'tasks: 900 ± 300 are alive, as 9 samples of the heap tell, taken at one in 524288 bytes; set ALLOC_PROFILER_INTERVAL=65536 for a surer number',
  ];
  const information = ['tasks: 900 ± 30 are alive, as 900 samples of the heap tell, taken at one in 512 bytes', "threads: 3 in 0 ms, of which 0 took a signal; 4 of the profiler's own are left out"];
  assert.deepEqual(losses([...information, ...lost]), lost);
});

test('a suspect says how many tasks it has, and by how many they are more', () => {
  const tasks = { looked_at_nanos: 0, count: 1200, error: 300, samples: 16, growth: 1000, growth_error: 280, wait_count: 0, waits: [] };
  assert.match(tasksInWords(tasks), /^It has 1\u202f200 ± 300 tasks by 16 samples, \+1\u202f000 ± 280 since it grows\. This is where they were at .*:$/);
  const unknown: SuspectTasks = { ...tasks, samples: 1, growth: null, growth_error: null };
  assert.match(tasksInWords(unknown), /^It has 1\u202f200 ± 300 tasks by 1 sample\. This is/);
});
