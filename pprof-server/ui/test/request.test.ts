// The life of a request: which profile is shown, what is waited for, and which failure is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, IDLE, next, questionOf, type Action } from '../src/request';
import type { Shown } from '../src/shown';
import { START } from '../src/view';

const shown = (idleStacks: number) => ({ idleStacks, rest: null }) as unknown as Shown;
const after = (...actions: Action[]) => actions.reduce(next, IDLE);
const RUNNING = { seconds: 3, startedAt: 0 };

test('a question is another one where the answer would be', () => {
  const ask = questionOf(START, IDLE);
  for (const part of [{ from: 1 }, { to: 'mark' }, { hidesStd: false }]) {
    assert.notEqual(questionOf({ ...START, ...part }, IDLE), ask);
  }
  assert.notEqual(questionOf(START, after({ type: 'asked anew' })), ask);
  for (const part of [{ search: 'x' }, { tab: 'flame' as const }, { type: 'alloc_space' as const }]) {
    assert.equal(questionOf({ ...START, ...part }, IDLE), ask);
  }
  // Where stacks have no row, another value has other rows.
  const lacking = after({ type: 'fetched', question: ask, shown: shown(1) });
  assert.notEqual(questionOf({ ...START, type: 'alloc_space' }, lacking), questionOf(START, lacking));
});

test('a profile stays in sight until the next is there, and a failure is told for its own question alone', () => {
  const first = shown(0);
  const failed = after(
    { type: 'fetched', question: 'a', shown: first },
    { type: 'failed', question: 'b', why: 'no such moment' },
  );
  assert.equal(failed.fetched, first);
  assert.equal(failed.answered, 'b');
  assert.equal(errorOf(failed, 'b'), 'no such moment');
  assert.equal(errorOf(failed, 'c'), null);
});

test('a capture is shown until the moments change, and its failure is told until then', () => {
  const captured = after({ type: 'capture began', running: RUNNING }, { type: 'captured', shown: shown(0) });
  assert.equal(captured.running, null);
  assert.notEqual(captured.captured, null);
  assert.equal(next(captured, { type: 'moments changed' }).captured, null);
  const failed = after({ type: 'capture began', running: RUNNING }, { type: 'capture failed', why: 'busy' });
  assert.equal(errorOf(failed, 'any question'), 'busy');
  assert.equal(errorOf(next(failed, { type: 'fetched', question: 'a', shown: shown(0) }), 'a'), 'busy');
  assert.equal(errorOf(next(failed, { type: 'moments changed' }), 'a'), null);
  assert.equal(errorOf(next(failed, { type: 'captured', shown: shown(0) }), 'a'), null);
  assert.deepEqual(after({ type: 'capture began', running: RUNNING }, { type: 'capture cancelled' }), IDLE);
});
