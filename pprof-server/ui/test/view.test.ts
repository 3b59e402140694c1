// The address of a view, numbers in words, the command, rows, names.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command, shortened } from '../src/command';
import { crateOf, shortName, shortPlace } from '../src/names';
import { losses, merged, others } from '../src/notes';
import { bytes, count, duration, percent, signed, stamp, things } from '../src/units';
import { format, momentsOf, parse, START, type View } from '../src/view';

test('a view survives in the address', () => {
  const view: View = {
    subject: 'heap',
    from: 'before-deploy',
    to: 1_795_518_114.25,
    capture: { start: 1_795_518_100.125, seconds: 30 },
    minAge: 60,
    type: 'alloc_objects',
    tab: 'flame',
    direction: 'callers',
    hides: 'libraries',
    folds: false,
    search: 'a&b=c#d',
    focus: '<T as A>::f::{{closure}}',
    ignore: ['~reader', 'a::b'],
    thread: 'worker, 1',
    kind: 'task',
    labels: ['tenant=acme', 'route=/a=b'],
    around: 'a::f',
    zoom: '1k3j5h2x',
    group: 'line',
    sort: '',
    open: [],
    held: '',
  };
  assert.deepEqual(parse(`#${format(view)}`), view);
  const rows: View = { ...START, tab: 'table', group: 'crate', sort: '-alloc_space', open: ['1a', '2b'] };
  assert.deepEqual(parse(`#${format(rows)}`), rows);
  // What another tab shows is not said.
  assert.equal(format({ ...view, ...START, tab: 'about', around: 'f', zoom: 'x', sort: 'y', open: ['z'] }), 'tab=about');
  assert.deepEqual(momentsOf(view), { from: 1_795_518_100.125, to: 1_795_518_130.125 });
  assert.deepEqual(momentsOf({ from: 1, to: null, capture: null }), { from: 1, to: null });
  assert.deepEqual(parse(`#${format({ ...START, from: 12.5 })}`), { ...START, from: 12.5 });
  assert.deepEqual(parse('#to=after-deploy').to, 'after-deploy');
  assert.equal(format(START), '');
});

test('nonsense in the address is as at the start', () => {
  for (const fragment of ['', '#', '#x', '#from=-1&to=.&type=space&tab=xyz&direction=up', '#from=%00&to=1e9', '#from=<b>', '#of=x&thread=&capture=5&age=x&hide=all&focus=&ignore=&zoom=<&sort=-&open=%00']) {
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
  assert.deepEqual([things(1, 'row'), things(0, 'row'), things(1000, 'row')], ['1 row', '0 rows', '1\u202f000 rows']);
  assert.deepEqual([percent(1, 8), percent(-1, 8), percent(1, 0)], ['12.5 %', '−12.5 %', '–']);
  assert.deepEqual([3, 59, 252, 5400, 200_000].map(duration), ['3.0 s', '59 s', '4.2 min', '90 min', '2.3 d']);
  assert.equal(stamp(1_795_518_114.8), '20261124-110154');
});

test('the command is for a shell, and leaves out what the page leaves out', () => {
  const said = {
    before: 'a.pb.gz', after: 'b.pb.gz', type: 'inuse_space', tab: 'flame', hidden: null, search: '', focus: null, ignore: [], thread: null, kind: null, labels: [],
  } as const;
  assert.equal(command(said), 'go tool pprof -http=: -sample_index=inuse_space -diff_base=a.pb.gz b.pb.gz');
  const top = command({ ...said, before: null, tab: 'table', hidden: '^core::|^std::' });
  assert.match(top, /^go tool pprof -top -cum -sample_index=inuse_space -hide='\^core::\|\^std::' b\.pb\.gz$/);
  assert.match(command({ ...said, search: 'a.rs' }), / -focus='\(\?i:a\\\.rs\)' /);
  const narrowed = command({ ...said, search: 'x', focus: 'a::f', ignore: ['~<T>::g', 'h'] });
  assert.match(narrowed, / -focus='\^a::f\$' -ignore='\(\?i:\[<>\]\*T\[<>\]\*::g\)\|\^h\$' /);
});

test('the expression to hide by is as short as the profile allows, and finds the same', () => {
  const frame = (name: string, file: string) => ({ function: name, file, line: 1, is_inlined: false, mapping: '/bin/app' });
  const pattern = '^/rustc/|^(core|alloc)::|^<([^|]*)* as core::(a|b)::|^\\(x|[(|]y|(^|::)(__rust_|mi_|__rg_)[^:]*$';
  const frames = [frame('core::f', '/rustc/1/f.rs'), frame('app::g', '/src/g.rs'), frame('<T as core::a::A>::f', '/rustc/1/a.rs')];
  assert.equal(shortened(pattern, frames), '^/rustc/');
  assert.equal(shortened(pattern, [...frames, frame('alloc::f', '')]), '^/rustc/|^(alloc)::');
  assert.equal(shortened(pattern, [frame('alloc::f', ''), frame('core::f', '')]), '^(core|alloc)::');
  assert.equal(shortened(pattern, [frame('<T as core::b::A>::f', '')]), '^<([^|]*)* as core::(b)::');
  assert.equal(shortened(pattern, [frame('|y', ''), frame('(x', '')]), '^\\(x|[(|]y');
  assert.equal(shortened(pattern, [frame('a::mi_new', ''), frame('__rg_alloc', '')]), '(^|::)(mi_|__rg_)[^:]*$');
  assert.equal(shortened(pattern, [frame('app::g', '')]), null);
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
