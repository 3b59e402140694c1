// Trees: merging, inversion, differences, functions, search; and random profiles against sums counted the plain way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finds, foundIn } from '../src/filter';
import { read, type Profile } from '../src/profile';
import { build, functions, heaviest, nodeOf, onNode, pathOf, placesOf, titleOf, weight, type Node } from '../src/tree';
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

/** Returns the node at this path of names. */
function at(root: Node, names: string[]): Node {
  return names.reduce((node, name) => node.children.find((child) => child.name === name)!, root);
}

function drawn(node: Node): unknown {
  return [node.name, node.value, node.self, ...node.children.map(drawn)];
}

test('callees merge from the root, the heaviest first', () => {
  const root = build(PROFILE, 'inuse_space');
  assert.deepEqual(drawn(root), [
    'all', 148, 0,
    ['main', 148, 0, ['a', 101, 0, ['leaf', 100, 100], ['small', 1, 1]], ['b', 47, 5, ['leaf', 42, 42]]],
  ]);
  assert.deepEqual(placesOf(at(root, ['main', 'b', 'leaf'])), [['/src/leaf.rs:7', 30], ['/src/leaf.rs:9', 12]]);
  assert.equal(at(root, ['main', 'a', 'small']).inlined, 'yes');
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
  assert.equal(at(build(profile, 'inuse_space'), ['main', 'f', 'g']).inlined, 'partly');
});

test('recursion counts once', () => {
  const profile = read(profileOf([inuse(['main', 'f', 'g', 'f', 'f'], 8), inuse(['main', 'f'], 3)]));
  const rows = functions(build(profile, 'inuse_space')).map(({ name, flat, cum }) => [name, flat, cum]);
  assert.deepEqual(rows, [['f', 11, 11], ['main', 0, 11], ['g', 0, 8]]);
});

test('search finds names and places, and counts nothing twice', () => {
  const found = (profile: Profile, query: string) => {
    const { stacks, values } = foundIn(profile, finds(query));
    return [stacks, values[3]];
  };
  assert.deepEqual(found(PROFILE, 'LEAF'), [3, 142]);
  assert.deepEqual(found(PROFILE, 'src/b.rs'), [3, 47]);
  assert.deepEqual(found(PROFILE, 'main'), [5, 148]);
  assert.deepEqual(found(PROFILE, '  '), [0, 0]);
  const recursive = read(profileOf([inuse(['main', 'f', 'g', 'f'], 8), inuse(['main', 'f'], 3)]));
  assert.deepEqual(found(recursive, 'f'), [2, 11]);
});

test('a box has the same short id in every tree in which it has the same path', () => {
  const root = build(PROFILE, 'inuse_space');
  const leaf = at(root, ['main', 'b', 'leaf']);
  const other = read(profileOf([inuse(['main', 'b', 'leaf'], 1)]));
  const again = nodeOf(build(other, 'inuse_space'), leaf.id)!;
  assert.deepEqual(pathOf(again).map(({ name }) => name), ['main', 'b', 'leaf']);
  assert.ok(leaf.id.length <= 12, leaf.id);
  assert.notEqual(leaf.id, at(root, ['main', 'a', 'leaf']).id);
  assert.equal(nodeOf(root, ''), root);
  assert.equal(nodeOf(root, 'gone'), null);
});

test('the heaviest box that a search finds is the outermost of its path', () => {
  const root = build(PROFILE, 'inuse_space');
  const found = (query: string) => heaviest(root, onNode(finds(query)));
  assert.deepEqual(pathOf(found('leaf')!).map(({ name }) => name), ['main', 'a', 'leaf']);
  assert.equal(found('main'), at(root, ['main']));
  assert.equal(found('b.rs'), at(root, ['main', 'b']));
  assert.equal(found('nowhere'), null);
});

test('three frames of others in a row are one box, which says how many and leads to them', () => {
  const isFolded = ({ function: name }: { function: string }) => /^(hyper|axum)::/.test(name);
  const profile = read(
    profileOf([
      inuse(['main', 'hyper::a', 'hyper::b', 'axum::c', 'shop::f'], 50),
      inuse(['main', 'hyper::a', 'hyper::b', 'hyper::d', 'axum::c', 'shop::g'], 7),
      inuse(['main', 'hyper::a', 'shop::g'], 2),
      inuse(['main', 'shop::g', 'axum::x', 'axum::y', 'axum::z'], 1),
    ]),
  );
  const root = build(profile, 'inuse_space', 'callees', isFolded);
  assert.deepEqual(drawn(root), [
    'all', 60, 0,
    ['main', 60, 0,
      ['… hyper, axum', 57, 0, ['shop::f', 50, 50], ['shop::g', 7, 7]],
      ['hyper::a', 2, 0, ['shop::g', 2, 2]],
      ['shop::g', 1, 0, ['… axum', 1, 1]]],
  ]);
  const run = at(root, ['main', '… hyper, axum']);
  assert.equal(titleOf(run), '… 3 to 4 frames of hyper, axum');
  assert.equal(titleOf(at(root, ['main', 'shop::g', '… axum'])), '… 3 frames of axum');
  const unfolded = nodeOf(build(profile, 'inuse_space'), run.run!.unfolded)!;
  assert.deepEqual(pathOf(unfolded).map(({ name }) => name), ['main', 'hyper::a']);
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
    for (const name of new Set(frames.map((frame) => frame.function))) {
      const of = totals.get(name) ?? [0, 0];
      totals.set(name, [of[0] + (frames[0]!.function === name ? values[3] : 0), of[1] + values[3]]);
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
  for (const [query, name] of [
    ['<demo::Reader>::start', 'demo::Reader::start'],
    ['demo::Reader::start', 'demo::Reader::start'],
    ['f::{{closure}}', 'demo::f::{closure#1}'],
    ['{closure#1}', 'demo::f::{closure#1}'],
    ['{{Closure}}', 'demo::f::{{closure}}'],
    ['<E as From', '<E as From>::from'],
  ]) {
    assert.ok(finds(query!)({ function: name!, file: '', line: 0 }), query);
  }
  assert.ok(!finds('<demo::Reader>::stop')({ function: 'demo::Reader::start', file: '', line: 0 }));
  assert.ok(!finds('<>')({ function: 'f', file: '', line: 0 }));
});
