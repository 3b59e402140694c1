// Hiding plumbing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hide, Owners } from '../src/plumbing';
import { read, total } from '../src/profile';
import { build, functions } from '../src/tree';
import { profileOf } from './profile_of';

/** A short one; the server has a test for its own. */
const PLUMBING = /^(core|alloc|std)::|^\/rustc\/[^/]+\/library\//;

test('callers take over what hidden functions had, and sums say what is gone', () => {
  const profile = read(
    profileOf([
      { stack: ['std::rt::start', 'app::main', 'core::call', 'app::f', 'alloc::push'], values: [0, 0, 0, 40] },
      { stack: ['std::rt::start', 'std::thread::new'], values: [0, 0, 0, 2] },
      { stack: ['app::main', ['app::g', 'core::inlined']], values: [0, 0, 0, 8] },
    ]),
  );
  const { profile: left, dropped } = hide(profile, PLUMBING);
  assert.equal(dropped[3], 2);
  assert.equal(total(left)[3] + dropped[3], total(profile)[3]);
  const rows = functions(build(left, 'inuse_space')).map(({ name, flat, cum }) => [name, flat, cum]);
  assert.deepEqual(rows, [['app::main', 0, 48], ['app::f', 40, 40], ['app::g', 8, 8]]);
});

test('a file hides too, and so does the object file it was linked into', () => {
  const frame = (name: string, file: string, mapping: string) => ({ function: name, file, line: 1, is_inlined: false, mapping });
  const frames = [
    frame('call_once', '/rustc/59807616e1fa/library/core/src/ops/function.rs', '/bin/app'),
    frame('f', '', '/usr/lib/libplugin.so'),
    frame('g', '/src/g.rs', '/bin/app'),
  ];
  const profile = { ...read(profileOf([])), stacks: [{ frames, whole: frames, end: null, values: [0, 0, 0, 1] as const }] };
  const left = (pattern: RegExp) => hide(profile, pattern).profile.stacks.map((stack) => stack.frames.map((frame) => frame.function));
  assert.deepEqual(left(PLUMBING), [['f', 'g']]);
  assert.deepEqual(left(/libplugin/), [['call_once', 'g']]);
  assert.deepEqual(left(/./), []);
});

test('a function is the program’s own by its file, and without a file by its crate', () => {
  const owners = new Owners({ plumbing: PLUMBING.source, libraries: '/registry/src/' }, 'my-shop');
  for (const [name, file, owner] of [
    ['my_shop::f', '/home/me/my-shop/src/main.rs', 'own'],
    ['other::f', '/home/me/other/src/lib.rs', 'own'],
    ['hyper::f', '/home/me/.cargo/registry/src/index-1/hyper-1.0.0/src/lib.rs', 'library'],
    ['core::call', '', 'plumbing'],
    ['my_shop::f', '', 'own'],
    ['hyper::f', '', 'library'],
    ['malloc', '', 'library'],
  ] as const) {
    assert.equal(owners.of({ function: name, file }), owner, `${name} in ${file}`);
  }
  assert.equal(owners.hidden('nothing'), null);
  assert.equal(owners.pattern('libraries'), `${owners.pattern('std')}|/registry/src/`);
});
