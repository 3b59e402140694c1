// These steps ask who holds memory, and which tasks nobody can wake.

import assert from 'node:assert/strict';
import { close, fits, open } from './browser.mjs';
import { start } from './demo.mjs';
import { LEAK, picture, rows, settled, step, tab } from './page.mjs';

/** The line at which the tasks of the leak wait. */
const LINE = 'demo_leak::reader::Reader::sample_for_ever';
const SENTENCE = /Who holds it: \d+( ± \d+)? % of the bytes in use \(\d+ samples?\) are /;

/** Tasks are searched for twice, in 30 s each at most, after what else the server looks up. */
const SEARCH_MS = 180_000;

const heldBy = (part) => part.locator('.held-by');
const roots = (page) => page.locator('.holders > li');
/** Searches for who holds what a function has allocated, on the tab of its own. */
async function search(page, text) {
  await page.getByLabel('Blocks from stacks with').fill(text);
  await page.getByRole('button', { name: 'Search memory', exact: true }).click();
  await page.locator('.what', { hasText: /who holds \d/ }).waitFor();
}

export async function askWhoHolds({ browser, binary, complaints }) {
  // It samples densely, so that holders are among the samples, and goes on leaking, so that there is a suspect.
  const options = ['--connections-per-second', '20', '--idle-seconds', '1', '--load-seconds', '3600'];
  const address = await start(binary, options, { PPROF_RECORD: '1s', ALLOC_PROFILER_INTERVAL: '4096' });
  const page = await open(browser, `${address}#tab=suspects`, complaints);
  await askOfSuspect({ page });
  await askOfRows({ browser, page, address, complaints });
  await findLeakedTasks({ page });
  await close(page);
  await askByKeys({ browser, address, complaints });
  await lookAtHolders({ browser, address, complaints });
}

async function askOfSuspect({ page }) {
  let asked = 0;
  page.on('request', (request) => (asked += request.url().includes('/holders') ? 1 : 0));

  await step('a suspect says in one line who holds it, when it is asked', async () => {
    const card = page.locator('.suspect').filter({ hasText: LEAK }).first();
    await card.locator('.task-waits').waitFor();
    assert.equal(asked, 0);
    await heldBy(card).getByRole('button', { name: 'Who holds it?', exact: true }).click();
    await heldBy(card).filter({ hasText: SENTENCE }).waitFor();
    assert.equal(asked, 1);
    await heldBy(card).getByRole('button', { name: 'Show all holders', exact: true }).click();
    assert.match(page.url(), /tab=holders&held=demo_leak/);
    // The answer is there already.
    await page.locator('.what', { hasText: `from stacks with “${LEAK}”` }).waitFor();
    assert.equal(asked, 1);
  });

  await step('all holders are a tree with shares, errors and counts, the root first', async () => {
    const shares = await roots(page).locator('> details > summary b, > .holder > b').allTextContents();
    assert.ok(shares.length > 0 && shares.every((share) => /^\d[\d.]*( ± (<\s)?\d[\d.]*)? %$/.test(share)), shares.join(' | '));
    const sum = shares.reduce((sum, share) => sum + Number.parseFloat(share), 0);
    assert.ok(Math.abs(sum - 100) <= shares.length, `${shares} are ${sum} %`);
    const first = await roots(page).first().locator('.function').first().textContent();
    assert.match(first, /^(static|thread-local|stack of thread|\[)/);
    const leaf = page.locator('.holders li:not(:has(li))', { hasText: LEAK }).first();
    assert.match(await leaf.textContent(), /\d objects?, \d+ samples?.*reader\.rs:\d+/);
    const words = page.locator('.holders-said');
    await words.locator('summary').click();
    assert.match(await words.locator('li').first().textContent(), /% of the bytes in use/);
    assert.match(await page.locator('.note code').textContent(), /^go tool pprof -http=: 'http:.*\/holders\?stack=demo_leak/);
  });
}

async function askOfRows({ browser, page, address, complaints }) {
  await step('a row of the table says it too, and the tab asks about any function, or about the suspects', async () => {
    await tab(page, 'Table');
    // The table may be of a moment before there was load.
    await page.getByRole('button', { name: 'Refresh', exact: true }).click();
    await settled(page);
    const row = rows(page, 'lines').filter({ hasText: 'tokio::sync::mpsc' }).first();
    await row.getByRole('button').first().click();
    await heldBy(row).getByRole('button', { name: 'Who holds it?', exact: true }).click();
    await heldBy(row).filter({ hasText: SENTENCE }).waitFor();
    await tab(page, 'Holders');
    await search(page, 'demo_leak::proxy');
    assert.match(page.url(), /held=demo_leak%3A%3Aproxy$/);
    await search(page, '');
    await page.locator('.what', { hasText: 'those of the suspects' }).waitFor();
    assert.doesNotMatch(page.url(), /held=/);
    assert.equal(await page.locator('.downloads').count(), 0);
  });

  await step('what no variable reaches comes first and says what that means, and a refusal is shown', async () => {
    const strange = await open(browser, 'about:blank', complaints);
    await strange.route('**/holders?*', async (route) => {
      const answer = await (await route.fetch()).json();
      const { rows } = answer;
      const frame = { function: '[cycle: only its own blocks point here]', file: '', line: 0, is_inlined: false };
      const small = { ...rows[0], values: { ...rows[0].values, inuse_space: 1 }, stack: [rows[0].stack[0], frame] };
      await route.fulfill({ json: { ...answer, rows: [...rows, small] } });
    });
    await strange.goto(`${address}#tab=holders`);
    await search(strange, LEAK);
    assert.match(await roots(strange).first().textContent(), /\[cycle: .*nothing will ever free them/);
    await strange.route('**/holders?*', (route) => route.fulfill({ status: 503, body: 'Could not search memory: why' }));
    await strange.getByRole('button', { name: 'Search memory', exact: true }).click();
    await strange.getByRole('alert').filter({ hasText: /^Could not search memory: why$/ }).waitFor();
    complaints.splice(0, complaints.length, ...complaints.filter((complaint) => !complaint.includes('503')));
    await close(strange);
  });
}

async function findLeakedTasks({ page }) {
  await step('the tasks that nobody can wake are found, with where they wait', async () => {
    await page.getByRole('link', { name: 'Threads and tasks', exact: true }).click();
    const leaked = page.getByRole('region', { name: 'Tasks that nobody can wake' });
    const deadline = Date.now() + SEARCH_MS;
    await leaked.getByRole('button', { name: 'Which tasks can nobody wake?', exact: true }).click();
    const found = leaked.getByText(/there are [\d\s]+ ± [\d\s]+ tasks that nobody can wake\. They wait for ever:/);
    const done = leaked.getByText(/^At \d\d:\d\d:\d\d,/);
    await done.waitFor({ timeout: SEARCH_MS });
    // Words that were left behind hide tasks, and tasks younger than five seconds are not judged.
    while ((await found.count()) === 0) {
      assert.ok(Date.now() < deadline, await leaked.textContent());
      await leaked.getByRole('button', { name: 'Search again', exact: true }).click();
      await leaked.getByText('Searching memory…').waitFor({ state: 'detached', timeout: SEARCH_MS });
    }
    const place = leaked.locator('> ul > li').first();
    assert.match(await place.textContent(), new RegExp(`^[\\d\\s]+ ± [\\d\\s]+ wait at ${LINE}.*reader\\.rs:\\d+`));
    await leaked.getByText('Who could wake the others').click();
    await leaked.locator('details li', { hasText: /of [\d ]+ ± .* tasks nobody can wake/ }).waitFor();
  });
}

async function askByKeys({ browser, address, complaints }) {
  await step('holders and tasks that nobody can wake are asked for with keys alone', async () => {
    const keyed = await open(browser, address, complaints);
    await keyed.locator('.timeline').waitFor();
    await keyed.keyboard.press('5');
    assert.equal(await keyed.getByRole('tab', { selected: true }).textContent(), 'Holders');
    const focused = () => keyed.evaluate(() => document.activeElement.name || document.activeElement.textContent);
    const reach = async (what) => {
      for (let presses = 0; (await focused()) !== what; presses += 1) {
        assert.ok(presses < 60, `${what} cannot be reached with Tab; the last was ${await focused()}`);
        await keyed.keyboard.press('Tab');
      }
    };
    await reach('held');
    await keyed.keyboard.type(LEAK);
    await keyed.keyboard.press('Enter');
    await roots(keyed).first().waitFor();
    await keyed.keyboard.press('Tab');
    await keyed.keyboard.press('Tab');
    const open_ = () => keyed.locator('.holders details[open]').count();
    const before = await open_();
    await keyed.keyboard.press('Enter');
    assert.notEqual(await open_(), before);
    await close(keyed);
  });
}

/** Returns by how many pixels the page would be too wide if all functions of suspects had long names. */
function overflowOfLongNames(page) {
  return page.evaluate(() => {
    const names = [...document.querySelectorAll('.suspect .function, .suspect .file')];
    const told = names.map((name) => name.firstChild.data);
    for (const name of names) name.firstChild.data = 'x'.repeat(100);
    const overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    names.forEach((name, index) => (name.firstChild.data = told[index]));
    return overflow;
  });
}

async function lookAtHolders({ browser, address, complaints }) {
  await step('who holds memory is accessible, in light and dark, wide and narrow', async () => {
    const seen = await open(browser, `${address}#tab=holders`, complaints, { viewport: { width: 1280, height: 760 } });
    await search(seen, LEAK);
    await seen.keyboard.press('t');
    await seen.getByRole('button', { name: 'Which tasks can nobody wake?', exact: true }).click();
    await seen.getByText(/^At \d\d:\d\d:\d\d, (no task is known|there are)/).waitFor({ timeout: SEARCH_MS });
    for (const [colorScheme, width] of [['light', 1280], ['dark', 1280], ['dark', 390], ['light', 390]]) {
      await seen.emulateMedia({ colorScheme });
      await seen.setViewportSize({ width, height: 760 });
      const fitsHere = (what) => fits(seen, `${what}, ${colorScheme}, ${width}`);
      await fitsHere('tasks that nobody can wake');
      await seen.keyboard.press('h');
      await tab(seen, 'Holders');
      await fitsHere('holders');
      if (width === 1280 && colorScheme === 'light') await picture(seen, 'page-holders', { width, height: 760 });
      await tab(seen, 'Suspects');
      await heldBy(seen).filter({ hasText: SENTENCE }).first().waitFor();
      await fitsHere('a suspect and who holds it');
      assert.ok((await overflowOfLongNames(seen)) <= 0, `long names in a suspect stick out, ${width}`);
      await seen.keyboard.press('t');
    }
    await close(seen);
  });
}
