// Hiding plumbing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hide } from '../src/plumbing';
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
  const frame = (name: string, file: string, mapping: string) => ({ name, file, line: 1, isInlined: false, mapping });
  const frames = [
    frame('call_once', '/rustc/59807616e1fa/library/core/src/ops/function.rs', '/bin/app'),
    frame('f', '', '/usr/lib/libplugin.so'),
    frame('g', '/src/g.rs', '/bin/app'),
  ];
  const profile = { ...read(profileOf([])), stacks: [{ frames, values: [0, 0, 0, 1] as const }] };
  const left = (pattern: RegExp) => hide(profile, pattern).profile.stacks.map((stack) => stack.frames.map(({ name }) => name));
  assert.deepEqual(left(PLUMBING), [['f', 'g']]);
  assert.deepEqual(left(/libplugin/), [['call_once', 'g']]);
  assert.deepEqual(left(/./), []);
});
