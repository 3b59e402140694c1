// Trees: merging, inversion, differences, functions, search; and random profiles against sums counted the plain way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read, type Profile } from '../src/profile';
import { build, follow, functions, matched, matches, placesOf, weight, type Node } from '../src/tree';
import { profileOf, type Made } from './profile_of';

const inuse = (stack: Made['stack'], value: number): Made => ({ stack, values: [0, 0, 0, value] });

const PROFILE = read(
  profileOf([
    inuse(['main', 'a', 'leaf'], 100),
    inuse(['main', 'b', 'leaf:7'], 30),
    inuse(['main', 'b', 'leaf:9'], 12),
    inuse(['main', 'b'], 5),
    inuse(['main', ['a', 'small']], 1),
    inuse(['other'], 0),
  ]),
);

function drawn(node: Node): unknown {
  return [node.name, node.value, node.self, ...node.children.map(drawn)];
}

test('callees merge from the root, the heaviest first', () => {
  const root = build(PROFILE, 'inuse_space');
  assert.deepEqual(drawn(root), [
    'all', 148, 0,
    ['main', 148, 0, ['a', 101, 0, ['leaf', 100, 100], ['small', 1, 1]], ['b', 47, 5, ['leaf', 42, 42]]],
  ]);
  assert.deepEqual(placesOf(follow(root, ['main', 'b', 'leaf'])), [['/src/leaf.rs:7', 30], ['/src/leaf.rs:9', 12]]);
  assert.equal(follow(root, ['main', 'a', 'small']).inlined, 'yes');
  assert.equal(follow(root, ['main', 'nowhere', 'x']).name, 'main');
});

test('callers merge from the leaf', () => {
  assert.deepEqual(drawn(build(PROFILE, 'inuse_space', 'callers')), [
    'all', 148, 0,
    ['leaf', 142, 0, ['a', 100, 0, ['main', 100, 100]], ['b', 42, 0, ['main', 42, 42]]],
    ['b', 5, 0, ['main', 5, 5]],
    ['small', 1, 0, ['a', 1, 0, ['main', 1, 1]]],
  ]);
});

test('in a difference what shrank has a width too', () => {
  const profile = read(profileOf([inuse(['main', 'grew'], 60), inuse(['main', 'shrank'], -60), inuse(['main', 'a'], 1)]));
  const root = build(profile, 'inuse_space');
  assert.deepEqual([root.value, root.grew, root.shrank, weight(root)], [1, 61, 60, 121]);
  assert.deepEqual(root.children[0]!.children.map(({ name, value }) => [name, value]), [['grew', 60], ['shrank', -60], ['a', 1]]);
});

test('a function inlined here and called there is so in places', () => {
  const profile = read(profileOf([inuse(['main', ['f', 'g']], 1), inuse(['main', 'f', 'g'], 1)]));
  assert.equal(follow(build(profile, 'inuse_space'), ['main', 'f', 'g']).inlined, 'partly');
});

test('recursion counts once', () => {
  const profile = read(profileOf([inuse(['main', 'f', 'g', 'f', 'f'], 8), inuse(['main', 'f'], 3)]));
  const rows = functions(build(profile, 'inuse_space')).map(({ name, flat, cum }) => [name, flat, cum]);
  assert.deepEqual(rows, [['f', 11, 11], ['main', 0, 11], ['g', 0, 8]]);
});

test('search finds names and places, and counts nothing twice', () => {
  const root = build(PROFILE, 'inuse_space');
  assert.equal(matched(root, matches('LEAF')), 142);
  assert.equal(matched(root, matches('src/b.rs')), 47);
  assert.equal(matched(root, matches('main')), 148);
  assert.equal(matched(root, matches('  ')), 0);
  const recursive = read(profileOf([inuse(['main', 'f', 'g', 'f'], 8), inuse(['main', 'f'], 3)]));
  assert.equal(matched(build(recursive, 'inuse_space'), matches('f')), 11);
});

/** A linear congruential generator: the same numbers in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** By the definition: flat of the leaf, cum of each function that is on the stack at all. */
function plainly(profile: Profile): Map<string, [flat: number, cum: number]> {
  const totals = new Map<string, [number, number]>();
  for (const { frames, values } of profile.stacks) {
    if (values[3] === 0) continue;
    for (const name of new Set(frames.map(({ name }) => name))) {
      const of = totals.get(name) ?? [0, 0];
      totals.set(name, [of[0] + (frames[0]!.name === name ? values[3] : 0), of[1] + values[3]]);
    }
  }
  return totals;
}

test('functions of random profiles are as counted plainly, negative values included', () => {
  const below = numbers(42);
  for (let round = 0; round < 50; round += 1) {
    const stacks = Array.from({ length: 1 + below(60) }, () => {
      const depth = 1 + below(9);
      const stack = Array.from({ length: depth }, () => {
        const names = Array.from({ length: 1 + below(3) }, () => `f${below(8)}`);
        return names.length === 1 ? names[0]! : names;
      });
      return inuse(stack, below(2000) - 1000);
    });
    const profile = read(profileOf(stacks));
    const root = build(profile, 'inuse_space');
    const counted = new Map(functions(root).map(({ name, flat, cum }) => [name, [flat, cum]]));
    assert.deepEqual(new Map([...counted].sort()), new Map([...plainly(profile)].sort()));
    // Whichever way it stands, it is the same sum, and no box is wider than the one it is in.
    const inverted = build(profile, 'inuse_space', 'callers');
    assert.deepEqual([inverted.value, weight(inverted)], [root.value, weight(root)]);
    const check = (node: Node): void => {
      const below = node.children.reduce((sum, child) => sum + child.value, 0);
      assert.equal(node.value, node.self + below);
      assert.ok(node.children.reduce((sum, child) => sum + weight(child), 0) <= weight(node));
      node.children.forEach(check);
    };
    check(root);
    check(inverted);
  }
});

test('a search finds a name however compilers write it', () => {
  const places = new Map<string, number>();
  for (const [query, name] of [
    ['<demo::Reader>::start', 'demo::Reader::start'],
    ['demo::Reader::start', 'demo::Reader::start'],
    ['f::{{closure}}', 'demo::f::{closure#1}'],
    ['{closure#1}', 'demo::f::{closure#1}'],
    ['{{Closure}}', 'demo::f::{{closure}}'],
    ['<E as From', '<E as From>::from'],
  ]) {
    assert.ok(matches(query!)({ name: name!, places }), query);
  }
  assert.ok(!matches('<demo::Reader>::stop')({ name: 'demo::Reader::start', places }));
  assert.ok(!matches('<>')({ name: 'f', places }));
});
