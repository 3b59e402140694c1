// All steps need this: where things are on the page, and how its figures are compared with those of `go tool pprof`.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { differences, top } from './pprof.mjs';

export const LEAK = 'demo_leak::reader::Reader::start';
export const TABS = ['Suspects', 'Table', 'Functions', 'Flame graph', 'Holders', 'About'];
/** What must not happen. `browser.mjs` gathers it. */
export const complaints = [];

/** The folder for pictures, if they are wanted. */
export const screenshots = process.argv[3];
/** What is downloaded goes here. */
export const folder = mkdtempSync(join(tmpdir(), 'check-ui-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
let passed = 0;

/** Checks one thing that must hold. The first that does not ends the run. */
export async function step(what, act) {
  const started = performance.now();
  await act();
  assert.deepEqual(complaints, [], what);
  passed += 1;
  console.log(`ok ${passed} - ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

export const tab = (page, name) => page.getByRole('tab', { name }).click();
export const said = (page) => page.locator('.what').textContent();
/** Waits until the memory in use now is shown. After a click, what was there before may be shown for a moment. */
export const showsNow = (page) => page.locator('.what', { hasText: /^As of / }).waitFor();
export const rows = (page, table) => page.locator(`table.${table} tbody tr`);
export const boxes = (page) => page.getByRole('treeitem');
/** Returns what is said of each box. */
export const labels = (page) => boxes(page).evaluateAll((all) => all.map((box) => box.getAttribute('aria-label')));
/** Returns the names and values of the rows of the table of lines. */
export const cells = (page) =>
  rows(page, 'lines').evaluateAll((all) =>
    all.map((row) => [row.querySelector('th button').textContent.replace(/^[▸▾] /, ''), Number(row.querySelector('td').dataset.value)]),
  );
/** Returns the name of a box. */
export const nameOf = async (box) => (await box.getAttribute('aria-label')).replace(/( \(inlined.*\))?, [^,]*$/, '');

/** Waits, after the view was changed, for the profile and the table of what is chosen now. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('#panel')?.getAttribute('aria-busy') === 'false');
}

/** Writes a picture of the top of the page, `size` pixels large, if pictures are wanted. */
export async function picture(page, name, size) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), clip: { x: 0, y: 0, ...size } });
}

/** Returns the figures of all functions, which the page counts from its flame graph. */
async function functions(page) {
  await tab(page, 'Functions');
  const more = page.locator('button.more-rows');
  while (await more.isVisible()) await more.click();
  const cells = await page.evaluate(() =>
    [...document.querySelectorAll('table.functions tbody tr')].map((row) => [
      row.dataset.function,
      [...row.querySelectorAll('td')].map((cell) => Number(cell.dataset.value)),
    ]),
  );
  return new Map(cells);
}

/** Downloads what the page shows, runs the command that the page shows, and compares function by function. */
export async function agreesWithPprof(page, type) {
  const ours = await functions(page);
  for (const link of await page.locator('.downloads a').all()) {
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    await download.saveAs(join(folder, download.suggestedFilename()));
  }
  const theirs = top(await page.locator('.downloads code').textContent(), folder, type);
  assert.deepEqual(differences(ours, theirs), []);
  return { ours, theirs };
}

/** Saves what a button makes, and returns the path of the file. */
export async function downloaded(page, button) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button, exact: true }).click()]);
  const file = join(folder, download.suggestedFilename());
  await download.saveAs(file);
  return file;
}

/** Returns how many steps have passed. */
export const passes = () => passed;
