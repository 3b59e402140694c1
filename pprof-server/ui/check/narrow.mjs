// These steps narrow what is shown: to the program's own code, to the stacks that a function is on, to what a search finds, to
// what is old; and they compare with a file.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { close, open } from './browser.mjs';
import { agreesWithPprof, boxes, folder, LEAK, nameOf, rows, said, settled, showsNow, step, tab } from './page.mjs';

/** The steps need a `page` over a demo whose load goes on. */
export async function narrowIt({ browser, page, complaints }) {
  await foldLibraries({ page });
  await narrowToFunctions({ page });
  await searchAndGroup({ page });
  await ageAndCopy({ browser, page, complaints });
  await compareWithFile({ page });
}

async function foldLibraries({ page }) {
  await step('my code only shows the program’s own functions, as go tool pprof does', async () => {
    await page.locator('select[name=from]').selectOption({ label: 'all in use (no comparison)' });
    await page.getByLabel('My code only').check();
    await settled(page);
    const { ours } = await agreesWithPprof(page, 'inuse_space');
    assert.deepEqual([...ours.keys()].filter((name) => !/^demo_leak::/.test(name)), []);
    await tab(page, 'Flame graph');
    await page.locator('.box.is-own').first().waitFor();
    assert.equal(await page.locator('.box.is-std, [class*=hue-]').count(), 0);
    await page.getByLabel('My code only').uncheck();
    assert.ok(await page.getByLabel('Hide std').isChecked());
  });

  await step('frames of libraries are folded, and a second click on them unfolds all', async () => {
    await page.getByLabel('Hide std').uncheck();
    await settled(page);
    const run = page.locator('.box.is-run').first();
    assert.match(await nameOf(run), /^… \d+( to \d+)? frames of \w+/);
    const folded = await boxes(page).count();
    await run.click();
    await run.click();
    assert.match(page.url(), /fold=no/);
    assert.ok((await boxes(page).count()) > folded);
    assert.equal(await page.locator('.box.is-run').count(), 0);
    assert.doesNotMatch(await nameOf(page.locator('.box[aria-selected=true]')), /^(all|…)/);
    await page.getByRole('button', { name: 'Reset zoom', exact: true }).click();
    assert.equal(await nameOf(page.locator('.box[aria-selected=true]')), 'all');
    assert.ok(await page.getByRole('button', { name: 'Reset zoom', exact: true }).isDisabled());
    await page.getByLabel('Fold libraries').check();
    await page.getByLabel('Hide std').check();
    await settled(page);
  });
}

async function narrowToFunctions({ page }) {
  await step('only this, and without this: sums and the command follow', async () => {
    await page.getByLabel('Value').selectOption('alloc_space');
    await settled(page);
    const whole = await settledValue(page, 'all');
    const leak = boxes(page).filter({ hasText: 'Reader::start' }).first();
    await leak.click();
    const part = Number(await valueOf(page, LEAK));
    await page.getByRole('button', { name: 'Only this', exact: true }).click();
    await page.locator('.chip', { hasText: `only ${LEAK}` }).waitFor();
    assert.match(page.url(), /focus=/);
    const { ours } = await agreesWithPprof(page, 'alloc_space');
    assert.equal(ours.get(LEAK)[1], part);
    await page.getByRole('button', { name: `Leave: only ${LEAK}` }).click();
    await tab(page, 'Flame graph');
    await boxes(page).filter({ hasText: 'Reader::start' }).first().click();
    await page.getByRole('button', { name: 'Without this', exact: true }).click();
    assert.match(await page.locator('.downloads code').textContent(), / -ignore='\^demo_leak::reader::Reader::start\$' /);
    const { ours: others } = await agreesWithPprof(page, 'alloc_space');
    assert.ok(!others.has(LEAK));
    await page.getByRole('button', { name: `Leave: without ${LEAK}` }).click();
    assert.equal(await page.locator('.chip').count(), 0);
    assert.equal(await settledValue(page, 'all'), whole);
    await page.getByLabel('Value').selectOption('inuse_space');
    await settled(page);
  });

  await step('around a function its callers and callees are two graphs', async () => {
    await tab(page, 'Flame graph');
    // Rust's two manglings spell closures differently.
    const name = /^demo_leak::proxy::serve_client::\{(\{closure\}|closure#0)\}$/;
    await boxes(page).filter({ hasText: 'serve_client' }).first().click();
    await page.getByRole('button', { name: 'Callers and callees', exact: true }).click();
    assert.match(page.url(), /around=/);
    const [callers, callees] = ['Its callers', 'What it calls'].map((label) => page.getByRole('tree', { name: label }).getByRole('treeitem'));
    assert.match(await nameOf(callers.nth(1)), name);
    assert.match(await nameOf(callers.nth(2)), /accept_clients/);
    assert.match(await nameOf(callees.nth(1)), name);
    assert.equal(await nameOf(callees.nth(2)), LEAK);
    await callees.nth(2).click();
    assert.equal(await nameOf(callees.and(page.locator('[aria-selected=true]'))), LEAK);
    await page.getByRole('button', { name: /^Leave: callers and callees/ }).click();
    await page.getByRole('tree', { name: 'Flame graph' }).waitFor();
  });
}

async function searchAndGroup({ page }) {
  await step('a search says how much it finds, narrows to it, and is in the command', async () => {
    await tab(page, 'Table');
    await page.getByRole('searchbox').fill('reader.rs');
    const found = page.locator('.found');
    const text = await found.textContent();
    const [, stacks] = /^“reader\.rs”: \d.*iB \(\d+\.\d %\) on (\d+) of \d+ stacks/.exec(text);
    assert.match(await page.locator('.downloads code').textContent(), / -focus='\(\?i:reader\\\.rs\)' /);
    await page.getByRole('button', { name: 'Only these', exact: true }).click();
    await page.locator('.chip', { hasText: 'only “reader.rs”' }).waitFor();
    assert.equal(await page.getByRole('searchbox').inputValue(), '');
    await page.getByRole('searchbox').fill('e');
    assert.match(await found.textContent(), new RegExp(` on ${stacks} of ${stacks} stacks`));
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: /^Leave: only/ }).click();
  });

  await step('lines with nothing in use are one row that opens, and are there where allocated is shown', async () => {
    const before = await rows(page, 'lines').count();
    const idle = page.locator('button.idle-rows');
    const [, lines] = /(\d+) lines? with nothing in use now/.exec(await idle.textContent());
    await idle.click();
    assert.equal(await rows(page, 'lines').count(), before + Number(lines));
    await page.getByLabel('Value').selectOption('alloc_space');
    await settled(page);
    assert.equal(await rows(page, 'lines').count(), before + Number(lines));
    await page.getByLabel('Value').selectOption('inuse_space');
    await settled(page);
  });

  await step('rows are of lines, of functions or of crates', async () => {
    const sum = async () => {
      const cells = await page.locator('table.lines tbody tr:not(.of-line) td:first-child').evaluateAll((all) => all.map((cell) => Number(cell.dataset.value)));
      return cells.reduce((sum, value) => sum + value, 0);
    };
    const whole = await sum();
    await page.getByLabel('A row for each').selectOption('crate');
    const names = () => rows(page, 'lines').locator('th.place').allTextContents();
    const crates = await names();
    assert.equal(crates.filter((name) => /^▸ demo_leak/.test(name)).length, 1, crates.join(' | '));
    assert.deepEqual(crates.filter((name) => name.includes('::')), []);
    assert.equal(await sum(), whole);
    assert.match(page.url(), /group=crate/);
    await page.getByLabel('A row for each').selectOption('function');
    assert.ok((await names()).some((name) => name.includes(LEAK)));
    assert.equal(await sum(), whole);
    await page.getByLabel('A row for each').selectOption('line');
  });
}

async function ageAndCopy({ browser, page, complaints }) {
  await step('only what is old counts as in use, if that is wished', async () => {
    await page.locator('select[name=age]').selectOption('86400');
    await settled(page);
    assert.match(await said(page), /Only what is at least 24.0 h old counts as in use\./);
    await page.locator('.empty', { hasText: 'Nothing to show' }).waitFor();
    assert.match(page.url(), /age=86400/);
    await page.locator('select[name=age]').selectOption('0');
    await settled(page);
    assert.ok((await rows(page, 'lines').count()) > 0);
  });

  await step('a row stays open, and the file and line of its frame are copied', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await rows(page, 'lines').filter({ hasText: LEAK }).first().getByRole('button', { expanded: false }).click();
    const again = await open(browser, page.url(), complaints);
    await again.locator('tr.is-open', { hasText: LEAK }).first().waitFor();
    await close(again);
    await page.locator('tr.is-open button.copy').first().click();
    await page.getByText('Copied.').waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^\/.*\/demo-leak\/src\/reader\.rs:\d+$/);
  });
}

async function compareWithFile({ page }) {
  await step('what is shown is compared with a profile in a file', async () => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('.downloads a').click()]);
    const file = join(folder, `kept-${download.suggestedFilename()}`);
    await download.saveAs(file);
    const input = page.getByLabel('Profile to compare with');
    await input.setInputFiles(file);
    await page.locator('.chip', { hasText: 'kept-heap' }).waitFor();
    await settled(page);
    assert.match(await said(page), /^What changed from kept-heap-.*\.pb\.gz \(/);
    await page.getByLabel('Value').selectOption('alloc_space');
    await settled(page);
    await agreesWithPprof(page, 'alloc_space');
    await page.getByLabel('Value').selectOption('inuse_space');
    const wrong = join(folder, 'wrong.pb.gz');
    writeFileSync(wrong, readFileSync(new URL('main.mjs', import.meta.url)));
    await input.setInputFiles(wrong);
    await page.getByText(/wrong\.pb\.gz cannot be compared with: .*Choose a heap profile/).waitFor();
    await page.getByRole('button', { name: /^Leave: kept-heap/ }).click();
    await settled(page);
    await showsNow(page);
    assert.equal(await page.locator('.error').count(), 0);
  });
}

/** Returns the value of the box with this name, as the flame graph tells it. */
async function valueOf(page, name) {
  await tab(page, 'Functions');
  const value = await page.locator(`tr[data-function="${name}"] td`).nth(1).getAttribute('data-value');
  await tab(page, 'Flame graph');
  return value;
}

async function settledValue(page, name) {
  await tab(page, 'Flame graph');
  return (await page.getByRole('treeitem', { name: new RegExp(`^${name}, `) }).first().getAttribute('aria-label')).split(', ')[1];
}
