// This step looks at a profile of thousands of stacks, of which the server tells samples and ages of the largest thousand.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { Function, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from 'pprof-format';
import { close, open } from './browser.mjs';
import { boxes, rows, settled, step, tab } from './page.mjs';

const STACKS = 3375;
const DEPTH = 60;
const ROWS = 1000;
const TYPES = ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'];

/** The bytes in use on a stack: no two have as many, and the first has most. */
const bytesOf = (stack) => 1024 * (STACKS - stack);

/** The function at a depth, from the root on. Each stack has its own leaf, in one of 15 functions, and 15 ways lead there. */
function nameAt(stack, depth) {
  if (depth === DEPTH - 1) return `shop::leaf${stack % 15}::alloc`;
  if (depth === DEPTH - 2) return `shop::way${Math.floor(stack / 15) % 15}::call`;
  if (depth === DEPTH - 3) return `shop::route${Math.floor(stack / 225)}::handle`;
  return `hyper::proto::layer${depth}`;
}

const fileOf = (name) => (name.startsWith('hyper') ? '/home/me/.cargo/registry/src/index-1/hyper-1.7.0/src/lib.rs' : '/home/me/shop/src/lib.rs');

function profile() {
  const strings = new StringTable();
  const functions = new Map();
  const locationOf = (name) => {
    if (!functions.has(name)) {
      const id = functions.size + 1;
      functions.set(name, new Function({ id, name: strings.dedup(name), systemName: 0, filename: strings.dedup(fileOf(name)), startLine: 0 }));
    }
    return functions.get(name).id;
  };
  const sample = Array.from({ length: STACKS }, (_, stack) => {
    const path = Array.from({ length: DEPTH }, (_, depth) => locationOf(nameAt(stack, depth)));
    return new Sample({ locationId: path.toReversed(), value: [1, bytesOf(stack), 1, bytesOf(stack)] });
  });
  const location = [...functions.values()].map(({ id }) => new Location({ id, mappingId: 1, address: id, line: [new Line({ functionId: id, line: 7 })] }));
  const message = new Profile({
    sampleType: TYPES.map((type) => new ValueType({ type: strings.dedup(type), unit: strings.dedup('bytes') })),
    sample,
    mapping: [new Mapping({ id: 1, filename: strings.dedup('/home/me/shop/target/release/shop') })],
    location,
    function: [...functions.values()],
    stringTable: strings,
    timeNanos: BigInt(Date.now()) * 1_000_000n,
  });
  return gzipSync(message.encode());
}

/** The server's rows: those of the largest stacks. */
function table(real) {
  const row = (_, stack) => ({
    values: { alloc_objects: 1, alloc_space: bytesOf(stack), inuse_objects: 1, inuse_space: bytesOf(stack), alloc_samples: 2, inuse_samples: 2 },
    errors: { alloc_objects: 1, alloc_space: 1, inuse_objects: 1, inuse_space: 3 },
    age: { median_seconds: 5, max_seconds: 9 },
    stack: Array.from({ length: DEPTH }, (_, depth) => nameAt(stack, DEPTH - 1 - depth)).map((name) => ({
      function: name, file: fileOf(name), line: 7, is_inlined: false,
    })),
  });
  return { ...real, stacks: STACKS, idle_stacks: 0, rows: Array.from({ length: ROWS }, row) };
}

/** `address` is that of a demo. */
export async function lookAtMany({ browser, address, complaints }) {
  await step('of thousands of stacks none is missed by the search, the sums or the lines', async () => {
    const seen = await open(browser, 'about:blank', complaints);
    const file = profile();
    await seen.route('**/heap', (route) => route.fulfill({ body: file }));
    await seen.route('**/heap?*format=json*', async (route) => {
      const real = await (await route.fetch()).json();
      await route.fulfill({ json: table(real) });
    });
    await seen.goto(`${address}#tab=table`);
    await settled(seen);
    assert.equal(await rows(seen, 'lines').count(), 15);
    const cells = async () => seen.locator('table.lines tbody tr').first().locator('td').allTextContents();
    const leaf = Array.from({ length: STACKS }, (_, stack) => stack).filter((stack) => stack % 15 === 0);
    const told = leaf.filter((stack) => stack < ROWS);
    // Figures that rest on the largest thousand say so.
    assert.equal((await cells())[5], `≥ ${2 * told.length}`);
    await seen.getByText(`are not told of the ${(STACKS - ROWS).toString().replace(/(\d)(\d{3})$/, '$1\u202f$2')} smallest stacks`).waitFor();

    await seen.getByRole('searchbox').fill('way14::');
    const found = Array.from({ length: STACKS }, (_, stack) => stack).filter((stack) => Math.floor(stack / 15) % 15 === 14);
    assert.ok(found.some((stack) => stack >= ROWS));
    const share = (100 * sum(found)) / sum(Array.from({ length: STACKS }, (_, stack) => stack));
    await seen.getByText(new RegExp(`\\(${share.toFixed(1)} %\\) on ${found.length} of 3\u202f375 stacks`)).waitFor();
    await tab(seen, 'Flame graph');
    await seen.getByText(new RegExp(`\\(${share.toFixed(1)} %\\) on ${found.length} of 3\u202f375 stacks`)).waitFor();
    // The 57 frames of the library are one box, so the program's own code begins in the third row.
    assert.match(await boxes(seen).nth(1).getAttribute('aria-label'), /^… 57 frames of hyper, /);
    assert.match(await boxes(seen).nth(2).getAttribute('aria-label'), /^shop::route/);
    await close(seen);
  });
}

const sum = (stacks) => stacks.reduce((sum, stack) => sum + bytesOf(stack), 0);
