// What the page makes of the labels that a program gives.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../src/command';
import { labelInWords, labelsIn, narrow } from '../src/filter';
import { alike, linesOf } from '../src/lines';
import { difference, read } from '../src/profile';
import { byLabel, format, parse, START } from '../src/view';
import { NOTHING_TOLD, profileOf, type Made } from './profile_of';

const INUSE_SPACE = 3;
const inuse = (stack: string[], value: number, labels: Record<string, string>): Made => ({ stack, values: [0, 0, 1, value], labels });
const profile = read(
  profileOf([
    inuse(['main', 'f'], 30, { tenant: 'acme', route: '/a' }),
    inuse(['main', 'f'], 10, { tenant: 'b,c' }),
    inuse(['main', 'g'], 5, { tenant: 'acme', kind: 'mine' }),
    inuse(['main', 'g'], 2, {}),
  ]),
);
const left = (labels: string[]) => narrow(profile, { ...START, labels }).stacks.map(({ values }) => values[INUSE_SPACE]);

test('labels of the program are told with what is on their stacks, the most first, and those of profiles are not', () => {
  assert.deepEqual([...labelsIn(profile, INUSE_SPACE)], [
    ['route', [['/a', 30], ['', 17]]],
    ['tenant', [['acme', 35], ['b,c', 10], ['', 2]]],
  ]);
  // The past has no labels.
  assert.equal(labelsIn(difference(profile, profile), INUSE_SPACE).size, 0);
  assert.deepEqual(['tenant=acme', 'tenant='].map(labelInWords), ['tenant acme', 'no tenant']);
});

test('stacks are narrowed to those that have all labels, or do not have one', () => {
  assert.deepEqual(left(['tenant=acme']), [30, 5]);
  assert.deepEqual(left(['tenant=acme', 'route=/a']), [30]);
  assert.deepEqual(left(['route=']), [10, 5, 2]);
  assert.deepEqual(left(['other=1']), []);
});

test('rows are of one value of a label each', () => {
  const rows = (of: typeof profile, key: string) => {
    const lines = linesOf(alike(of, byLabel(key)), NOTHING_TOLD, INUSE_SPACE, byLabel(key));
    return lines.map(({ name, frame, values, stacks }) => [name, frame, values[INUSE_SPACE], stacks.length]);
  };
  assert.deepEqual(rows(profile, 'tenant'), [['acme', null, 35, 2], ['b,c', null, 10, 1], ['no tenant', null, 2, 1]]);
  // Stacks are alike whatever their labels are, where rows are not made by labels.
  assert.deepEqual(alike(profile).map(({ values }) => values[INUSE_SPACE]), [40, 7]);
});

test('the command and the address have the same labels', () => {
  const said = (labels: string[]) => command({ ...START, labels, tab: 'table', before: null, after: 'heap.pb.gz', hidden: null });
  assert.match(said(['tenant=acme']), / -tagfocus='tenant=\^acme\$' heap/);
  assert.match(said(['tenant=b,c', 'route=/a=b']), / -tagfocus='\^tenant:b\\x2cc\$,\^route:\/a\\x3db\$' heap/);
  assert.match(said(['tenant=', 'route=']), / -tagignore='\^\(tenant\|route\):' heap/);
  const view = { ...START, tab: 'table' as const, labels: ['tenant=', 'route=/a=b'], group: byLabel('tenant') };
  assert.deepEqual(parse(format(view)), view);
  assert.deepEqual(parse('#tab=table&group=label:&label=x&label==y'), { ...START, tab: 'table' });
});
