// These steps look at waits for locks. The demo waits for none, so the server's answer to a capture is made here.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { Function, Label, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from 'pprof-format';
import { accessibility, close, fits, open } from './browser.mjs';
import { agreesWithPprof, rows, said, step, tab } from './page.mjs';

const MS = 1e6;
/** Root first, with the number of waits, their time, and the tenant that they were for. */
const WAITS = [
  { stack: ['shop::main', 'shop::orders::write', 'std::sys::Mutex::lock'], values: [90, 900 * MS], tenant: 'acme' },
  { stack: ['shop::main', 'shop::orders::write', 'std::sys::Mutex::lock'], values: [8, 60 * MS], tenant: 'other' },
  { stack: ['shop::main', 'shop::orders::read', 'std::sys::Mutex::lock'], values: [2, 40 * MS], tenant: 'acme' },
];

function profile() {
  const strings = new StringTable();
  const names = [...new Set(WAITS.flatMap(({ stack }) => stack))];
  const id = (name) => names.indexOf(name) + 1;
  const file = (name) => strings.dedup(name.startsWith('std') ? '/rustc/0/library/std/src/lib.rs' : '/home/me/shop/src/lib.rs');
  const types = [['contentions', 'count'], ['delay', 'nanoseconds']];
  const message = new Profile({
    sampleType: types.map(([type, unit]) => new ValueType({ type: strings.dedup(type), unit: strings.dedup(unit) })),
    sample: WAITS.map(
      ({ stack, values, tenant }) =>
        new Sample({
          locationId: stack.toReversed().map(id),
          value: values,
          label: [new Label({ key: strings.dedup('tenant'), str: strings.dedup(tenant) })],
        }),
    ),
    mapping: [new Mapping({ id: 1, filename: strings.dedup('/home/me/shop/target/release/shop') })],
    location: names.map((name) => new Location({ id: id(name), mappingId: 1, address: id(name), line: [new Line({ functionId: id(name), line: 7 })] })),
    function: names.map((name) => new Function({ id: id(name), name: strings.dedup(name), systemName: strings.dedup(name), filename: file(name), startLine: 0 })),
    stringTable: strings,
    timeNanos: BigInt(Date.now()) * 1_000_000n,
    durationNanos: 2_000_000_000n,
    comment: [strings.dedup('block: 1 s in 100 contentions, from 100 samples, one for each 1 ms of waiting; longer waits are all there')],
  });
  return gzipSync(message.encode());
}

/** `address` is that of a demo. */
export async function lookAtLocks({ browser, address, complaints }) {
  const page = await open(browser, address, complaints);

  await step('who waits now is seen at once', async () => {
    await page.locator('.timeline').waitFor();
    await page.keyboard.press('l');
    await page.getByText('Capture shows how long threads wait').waitFor();
    assert.match(page.url(), /#of=locks&tab=table$/);
    await page.locator('select[name=waits]').selectOption('current');
    await page.getByRole('button', { name: 'Look', exact: true }).click();
    await page.locator('.what', { hasText: /^At \d\d:\d\d:\d\d, \d+ threads? waited for other threads, / }).waitFor();
  });

  await step('a program that does not measure waits says how to switch that on', async () => {
    await page.locator('select[name=waits]').selectOption('mutex');
    await page.locator('input[name=seconds]').fill('1');
    await page.getByRole('button', { name: 'Capture waits', exact: true }).click();
    await page.locator('.losses li', { hasText: 'install!(locks = true)' }).waitFor();
    assert.match(await said(page), /^Others waited 0 ns for locks/);
  });

  await step('waits are rows with time, share, number and mean, by line and by label', async () => {
    await page.route('**/block?seconds=1', (route) => route.fulfill({ body: profile() }));
    await page.locator('select[name=waits]').selectOption('block');
    await page.getByRole('button', { name: 'Capture waits', exact: true }).click();
    await page.locator('.what', { hasText: /^Threads waited 1\.00 s in the 2\.0 s until \d\d:\d\d:\d\d, 100 times\./ }).waitFor();
    await tab(page, 'Table');
    const cells = () => rows(page, 'lines').evaluateAll((all) => all.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent)));
    assert.deepEqual(await cells(), [['960 ms', '96.0 %', '98', '9.80 ms'], ['40.0 ms', '4.0 %', '2', '20.0 ms']]);
    assert.equal(await page.locator('.losses').count(), 0);
    await page.getByLabel('A row for each').selectOption('label:tenant');
    assert.deepEqual(await cells(), [['940 ms', '94.0 %', '92', '10.2 ms'], ['60.0 ms', '6.0 %', '8', '7.50 ms']]);
    await page.locator('select[name=label]').selectOption('tenant=other');
    assert.deepEqual(await cells(), [['60.0 ms', '100.0 %', '8', '7.50 ms']]);
    const { ours } = await agreesWithPprof(page, 'delay');
    assert.deepEqual([...ours.keys()].sort(), ['shop::main', 'shop::orders::write']);
  });
  await accessibility(page, 'waits for locks');
  await page.setViewportSize({ width: 390, height: 900 });
  await tab(page, 'Table');
  await fits(page, 'waits for locks, narrow');
  await close(page);
}
