// The address of a view, numbers in words, the command, rows, names.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Errors, Heap, Row, Values } from '../src/answers';
import { command } from '../src/command';
import { crateOf, shortName, shortPlace } from '../src/names';
import { losses, merged, others } from '../src/notes';
import { lines } from '../src/shown';
import { bytes, count, duration, percent, signed, stamp } from '../src/units';
import { format, parse, START, type View } from '../src/view';

test('a view survives in the address', () => {
  const view: View = {
    from: 'before-deploy',
    to: 1_795_518_114.25,
    type: 'alloc_objects',
    tab: 'flame',
    direction: 'callers',
    hidesStd: false,
    search: 'a&b=c#d',
    zoom: ['main', '<T as A>::f::{{closure}}'],
  };
  assert.deepEqual(parse(`#${format(view)}`), view);
  assert.deepEqual(parse(`#${format({ ...START, from: 12.5 })}`), { ...START, from: 12.5 });
  assert.deepEqual(parse('#to=after-deploy').to, 'after-deploy');
  assert.equal(format(START), '');
});

test('nonsense in the address is as at the start', () => {
  for (const fragment of ['', '#', '#x', '#from=-1&to=.&type=space&tab=xyz&direction=up', '#from=%00&to=1e9', '#from=<b>']) {
    assert.deepEqual(parse(fragment), START, fragment);
  }
});

test('numbers are told with three digits and their unit', () => {
  const cases: [number, string][] = [
    [0, '0 B'], [1, '1 B'], [999, '999 B'], [1000, '0.98 KiB'], [1024, '1.00 KiB'], [10_235, '10.0 KiB'],
    [67_528_294, '64.4 MiB'], [-524_288, '−512 KiB'], [2 ** 40, '1.00 TiB'], [2 ** 53, '8.00 PiB'],
  ];
  for (const [value, text] of cases) assert.equal(bytes(value), text);
  assert.equal(count(1_234_567), '1\u202f234\u202f567');
  assert.equal(count(-1000), '−1\u202f000');
  assert.deepEqual([signed(5, count), signed(-5, count), signed(0, count)], ['+5', '−5', '0']);
  assert.deepEqual([percent(1, 8), percent(-1, 8), percent(1, 0)], ['12.5 %', '−12.5 %', '–']);
  assert.deepEqual([3, 59, 252, 5400, 200_000].map(duration), ['3.0 s', '59 s', '4.2 min', '90 min', '2.3 d']);
  assert.equal(stamp(1_795_518_114.8), '20261124-110154');
});

test('the command is for a shell, and leaves out what the page leaves out', () => {
  const said = { before: 'a.pb.gz', after: 'b.pb.gz', type: 'inuse_space', tab: 'flame', plumbing: null } as const;
  assert.equal(command(said), 'go tool pprof -http=: -sample_index=inuse_space -diff_base=a.pb.gz b.pb.gz');
  const top = command({ ...said, before: null, tab: 'table', plumbing: '^core::|^std::' });
  assert.match(top, /^go tool pprof -top -cum -sample_index=inuse_space -hide='\^core::\|\^std::' b\.pb\.gz$/);
});

test('rows of a difference know what their stacks hold at its end', () => {
  const figures = (inuse_space: number): Values => ({
    alloc_objects: 0, alloc_space: 0, inuse_objects: 0, inuse_space, alloc_samples: 0, inuse_samples: 1,
  });
  const errors: Errors = { alloc_objects: null, alloc_space: null, inuse_objects: null, inuse_space: null };
  const row = (name: string, inuse: number, age: Row['age'] = null): Row => ({
    values: figures(inuse),
    errors,
    age,
    stack: [{ function: name, file: '', line: 0, is_inlined: false }],
  });
  const table = (rows: Row[]): Heap => ({
    profile: 'heap', ordered_by: 'inuse_space', sampling_interval_bytes: 1, time_nanos: 0, duration_nanos: null,
    stacks: rows.length, idle_stacks: 0, total: figures(0), total_errors: errors, rows, other: figures(0), other_errors: errors, notes: [],
  });
  const age = { median_seconds: 4, max_seconds: 9 };
  const snapshot = table([row('a', 100, age), row('b', 50, null)]);
  assert.deepEqual(
    lines(snapshot, table([row('a', 7), row('c', -3)])).map(({ change, inuse, age }) => [change.inuse_space, inuse?.inuse_space, age]),
    [[7, 100, age], [-3, undefined, null]],
  );
  assert.deepEqual(lines(snapshot, null).map(({ change, age }) => [change.inuse_space, age]), [[100, age], [50, null]]);
});

test('a name in a box is its end, which tells functions apart', () => {
  for (const [name, short] of [
    ['demo_leak::reader::Reader::start', 'reader::Reader::start'],
    ['demo_leak::main', 'demo_leak::main'],
    ['main', 'main'],
    ['demo_leak::serve::serve::{{closure}}', 'serve::serve::{{closure}}'],
    ['demo_leak::serve::serve::{closure#0}', 'serve::serve::{closure#0}'],
    ['tokio::sync::mpsc::block::Block::new', 'block::Block::new'],
    ['a::pool::Pool<u8>::new', 'pool::Pool<u8>::new'],
    ['<alloc::vec::Vec as core::ops::Deref>::deref', '<Vec as Deref>::deref'],
    ['<a::E as core::convert::From<core::fmt::Error>>::from::{closure#0}', '<E as From<Error>>::from::{closure#0}'],
    ['<&[_] as a::m::Enc>::enc', '<&[_] as Enc>::enc'],
    ['libc.so.6+0x2724a', 'libc.so.6+0x2724a'],
  ]) {
    assert.equal(shortName(name!), short);
  }
});

test('a file is told from the folder of its crate', () => {
  for (const [place, short] of [
    ['/home/me/.cargo/registry/src/index-1949cf8c6b5b557f/tokio-1.54.1/src/io/util/copy.rs:26', 'tokio-1.54.1/src/io/util/copy.rs:26'],
    ['/rustc/59807616e1fa/library/core/src/ops/function.rs:250', 'library/core/src/ops/function.rs:250'],
    ['/home/me/code/demo-leak/src/reader.rs:60', 'demo-leak/src/reader.rs:60'],
    ['/home/me/code/app/src/bin/tool.rs:1', 'app/src/bin/tool.rs:1'],
    ['../sysdeps/x86_64/start.S:115', '../sysdeps/x86_64/start.S:115'],
    ['', ''],
  ]) {
    assert.equal(shortPlace(place!), short);
  }
});

test('colours go by the crate whose function or type it is', () => {
  for (const [name, crate] of [
    ['demo_leak::main', 'demo_leak'],
    ['<alloc::vec::Vec<T> as my::Trait>::f', 'alloc'],
    ['<&dyn my::Trait as core::fmt::Debug>::fmt', 'my'],
    ['malloc', ''],
  ]) {
    assert.equal(crateOf(name!), crate);
  }
});

test('notes are told once, and what is missing is told apart from what is there', () => {
  const missing = 'functions only: no lines. This concerns 100.0 % of what is in use (27 samples)';
  const table = ['in use: 64.4 MiB ± 9.0 %, from 123 samples', missing, 'profiler memory: 128 KiB of at most 64.0 MiB'];
  const comments = [
    'in use: 64.9 MiB ± 9.1 %, from 1 sample',
    'functions only: no lines. This concerns 99.8 % of what is in use (1 sample)',
    'profile: samples merged under [other] for want of room: 7',
    'profiler memory: 1.00 MiB of at most 64.0 MiB',
  ];
  assert.deepEqual(merged(table, comments), [...table, comments[2]]);
  assert.deepEqual(losses(merged(table, comments)), [missing, comments[2]]);
  assert.deepEqual(others(['too early to tell: 2 of 7', missing], table), ['too early to tell: 2 of 7']);
});
