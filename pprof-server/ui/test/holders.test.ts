// What the page makes of who holds memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Holders, Profile } from '../src/answers';
import { saidOf, sentenceOf, shareOf, treeOf, withShortPlaces, type Holder } from '../src/holders';
import { shareInWords } from '../src/holder_tree';
import { leakedInWords } from '../src/leaked_tasks';

const frame = (name: string, line = 0) => ({ function: name, file: line ? `/home/me/shop/src/${name}.rs` : '', line, is_inlined: false });
/** A chain, root first. */
const row = (chain: ReturnType<typeof frame>[], bytes: number, error: number | null) => ({
  stack: chain.toReversed(), values: { inuse_objects: 2, inuse_space: bytes, inuse_samples: 3 }, errors: { inuse_space: error }, age: null,
});
const answer = {
  rows: [
    row([frame('static SESSIONS'), frame('table', 41), frame('session', 60)], 700, 30),
    row([frame('static SESSIONS'), frame('table', 41), frame('index', 7)], 200, 40),
    row([frame('[lost: no pointer leads here]'), frame('session', 60)], 60, 0),
    row([frame('[cycle: only its own blocks point here]'), frame('session', 60)], 40, null),
  ],
  total: { inuse_space: 1000 },
  total_errors: { inuse_space: 50 },
  notes: [
    'holders: session (/home/me/shop/src/session.rs:60): 88 ± 3 % of the bytes in use (6 samples) are held by blocks of table (/home/me/shop/src/table.rs:41), held by static SESSIONS',
    'holders: index (/home/me/shop/src/index.rs:7): 100 % of the bytes in use (3 samples) are held by blocks of table (/home/me/shop/src/table.rs:41), held by static SESSIONS',
    'holders: 12 MiB were looked at in 2 passes, 9 ms',
  ],
} as unknown as Holders;

test('holders are a tree from the root, findings first, with sums and errors', () => {
  const shape = ({ frame, bytes, objects, samples, variance, finding, children }: Holder): unknown =>
    [frame.function, bytes, objects, samples, variance, finding, children.map(shape)];
  assert.deepEqual(treeOf(answer).map(shape), [
    ['[lost: no pointer leads here]', 60, 2, 3, 0, 'lost', [['session', 60, 2, 3, 0, null, []]]],
    ['[cycle: only its own blocks point here]', 40, 2, 3, null, 'cycle', [['session', 40, 2, 3, null, null, []]]],
    ['static SESSIONS', 900, 4, 6, 2500, null, [
      ['table', 900, 4, 6, 2500, null, [['session', 700, 2, 3, 900, null, []], ['index', 200, 2, 3, 1600, null, []]]],
    ]],
  ]);
});

test('shares have the error of a ratio, and none where it is not known', () => {
  // (1 - 0.5)² · 20² + 0.5² · (25² - 20²) = 156.25, whose root is 12.5.
  assert.deepEqual(shareOf({ bytes: 500, variance: 400 }, { total: { inuse_space: 1000 }, total_errors: { inuse_space: 25 } }), { value: 0.5, error: 0.0125 });
  const [lost, cycle, held] = treeOf(answer);
  assert.deepEqual([lost!, cycle!, held!].map((holder) => shareInWords(holder, answer)), ['6.0 ± 0.3 %', '4.0 %', '90 ± 0.5 %']);
  assert.deepEqual(shareOf({ bytes: 0, variance: 0 }, { total: { inuse_space: null }, total_errors: {} }), { value: 0, error: null });
});

test('the sentence about a site is found by its frame, and else that about the heaviest site', () => {
  const { sentences, others } = saidOf(answer);
  assert.deepEqual(others, ['12 MiB were looked at in 2 passes, 9 ms']);
  assert.match(sentenceOf(sentences, frame('index', 7))!.text, /^100 % of the bytes/);
  assert.match(sentenceOf(sentences, frame('other', 7))!.text, /^88 ± 3 % of the bytes/);
  assert.equal(sentenceOf([], null), null);
  assert.equal(withShortPlaces(sentences[1]!.text), '100 % of the bytes in use (3 samples) are held by blocks of table (shop/src/table.rs:41), held by static SESSIONS');
});

test('it is said how many tasks nobody can wake', () => {
  const said = (total: number) =>
    leakedInWords({ total: { goroutineleak: total }, total_errors: { goroutineleak: 279.4 }, time_nanos: 0 } as unknown as Profile);
  assert.match(said(1226.2), /^At .*, there are 1\u202f226 ± 279 tasks that nobody can wake\. They wait for ever:$/);
  assert.match(said(0), /^At .*, no task is known that nobody can wake\.$/);
});
