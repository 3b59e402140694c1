// Hiding plumbing, and the rules it is found by.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hide, PLUMBING } from '../src/hide';
import { read, total } from '../src/profile';
import { build, functions } from '../src/tree';
import { profileOf } from './profile_of';

test('plumbing is known by name or file, and nothing else is', () => {
  const expression = new RegExp(PLUMBING);
  for (const text of [
    'core::ops::function::FnOnce::call_once',
    'alloc::vec::Vec::push',
    'alloc::string::String::push_str',
    'std::rt::lang_start',
    '<alloc::boxed::Box as core::ops::function::FnOnce>::call_once',
    '<alloc::vec::Vec<u8> as core::convert::From<&str>>::from',
    '<&std::fs::File as std::io::Read>::read',
    '<F as core::ops::function::FnOnce>::call_once',
    '<[_] as alloc::slice::ToOwned>::to_owned',
    '<(_, _) as core::fmt::Debug>::fmt',
    '<[_]>::to_vec',
    '<str>::len',
    '<dyn core::any::Any>::downcast_ref',
    'hashbrown::map::HashMap::insert',
    '/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/ops/function.rs',
    '/home/me/.rustup/toolchains/stable/lib/rustlib/src/rust/library/std/src/rt.rs',
    '/usr/src/rustc-1.97.1/library/std/src/rt.rs',
    '__rust_alloc',
    '_start',
    'main',
    '__libc_start_main_impl',
    'clone3',
    'libc.so.6+0x891f4',
    'tokio::runtime::task::core::Core::poll',
    '<tokio::runtime::blocking::task::BlockingTask as core::future::future::Future>::poll',
    '/home/me/.cargo/registry/src/index-1949cf8c6b5b557f/tokio-1.54.1/src/task/spawn.rs',
  ]) {
    assert.ok(expression.test(text), text);
  }
  for (const text of [
    'demo_leak::main',
    'demo_leak::reader::Reader::start',
    'my_std::f',
    'stdx::f',
    '<my::Type as core::fmt::Display>::fmt',
    '<alloc::vec::Vec as my::Encode>::encode',
    '<&alloc::vec::Vec<u8> as my::Encode>::encode',
    '<T as my::Encode>::encode',
    '<[_] as my::Encode<core::option::Option>>::encode',
    '<dyn my::Trait>::f',
    'tokio::io::util::copy::CopyBuffer::new',
    '/home/me/.cargo/registry/src/index-1949cf8c6b5b557f/tokio-util-0.7.1/src/task/spawn.rs',
    'libc_wrapper::f',
    'demo_leak+0x891f4',
    '/src/std/main.rs',
    '/rustc/library.rs',
  ]) {
    assert.ok(!expression.test(text), text);
  }
});

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
  const left = (pattern: string) => hide(profile, pattern).profile.stacks.map((stack) => stack.frames.map(({ name }) => name));
  assert.deepEqual(left(PLUMBING), [['f', 'g']]);
  assert.deepEqual(left('libplugin'), [['call_once', 'g']]);
  assert.deepEqual(left('.'), []);
});
