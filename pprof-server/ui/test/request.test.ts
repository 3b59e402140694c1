// The life of a request: which profile is shown, what is waited for, and which failure is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedFor, errorOf, IDLE, next, questionOf, type Action } from '../src/request';
import type { Baseline, Shown } from '../src/shown';
import { START } from '../src/view';

const shown = (isPartial = false) => ({ isPartial }) as unknown as Shown;
const after = (...actions: Action[]) => actions.reduce(next, IDLE);
const RUNNING = { seconds: 3, startedAt: 0 };
const SPAN = { start: 100.5, seconds: 3 };

test('a question is another one where the answer would be', () => {
  const ask = questionOf(START, IDLE);
  for (const part of [{ from: 1 }, { to: 'mark' }, { hides: 'nothing' as const }, { minAge: 60 }, { capture: SPAN }]) {
    assert.notEqual(questionOf({ ...START, ...part }, IDLE), ask);
  }
  assert.notEqual(questionOf(START, after({ type: 'asked anew' })), ask);
  for (const part of [{ search: 'x' }, { tab: 'flame' as const }, { type: 'alloc_space' as const }, { hides: 'libraries' as const }]) {
    assert.equal(questionOf({ ...START, ...part }, IDLE), ask);
  }
  // Where stacks have no row, another value has other rows.
  const lacking = after({ type: 'fetched', question: ask, shown: shown(true) });
  assert.notEqual(questionOf({ ...START, type: 'alloc_space' }, lacking), questionOf(START, lacking));
});

test('a profile stays in sight until the next is there, and a failure is told for its own question alone', () => {
  const first = shown();
  const failed = after(
    { type: 'fetched', question: 'a', shown: first },
    { type: 'failed', question: 'b', why: 'no such moment' },
  );
  assert.equal(failed.fetched, first);
  assert.equal(failed.answered, 'b');
  assert.equal(errorOf(failed, 'b'), 'no such moment');
  assert.equal(errorOf(failed, 'c'), null);
});

test('a capture is shown in a view of its time, and its failure is told until the moments change', () => {
  const captured = after({ type: 'capture began', running: RUNNING }, { type: 'captured', shown: shown(), span: SPAN });
  assert.equal(captured.running, null);
  assert.equal(capturedFor({ capture: { ...SPAN } }, captured), captured.captured!.shown);
  for (const capture of [null, { ...SPAN, start: 100.6 }, { ...SPAN, seconds: 2 }]) {
    assert.equal(capturedFor({ capture }, captured), null);
  }
  assert.equal(capturedFor({ capture: null }, IDLE), null);
  const failed = after({ type: 'capture began', running: RUNNING }, { type: 'capture failed', why: 'busy' });
  assert.equal(errorOf(failed, 'any question'), 'busy');
  assert.equal(errorOf(next(failed, { type: 'fetched', question: 'a', shown: shown() }), 'a'), 'busy');
  assert.equal(errorOf(next(failed, { type: 'moments changed' }), 'a'), null);
  assert.equal(errorOf(next(failed, { type: 'captured', shown: shown(), span: SPAN }), 'a'), null);
  assert.deepEqual(after({ type: 'capture began', running: RUNNING }, { type: 'capture cancelled' }), IDLE);
});

test('a file is compared with instead of the first moment, until a capture is', () => {
  const baseline = {} as Baseline;
  const compared = after({ type: 'failed', question: null, why: 'no profile' }, { type: 'compares with', baseline });
  assert.equal(compared.failure, null);
  assert.equal(questionOf({ ...START, from: 1 }, compared), questionOf(START, compared));
  assert.notEqual(questionOf({ ...START, from: 1 }, IDLE), questionOf(START, IDLE));
  assert.equal(next(compared, { type: 'captured', shown: shown(), span: SPAN }).baseline, null);
});
