// The page in a real browser over the running demo: everything that can be clicked, by mouse and by keys, in dark and in
// light; and its figures beside those of `go tool pprof`. `node check/main.mjs DEMO [FOLDER FOR SCREENSHOTS]`

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessibility, close, launch, open } from './browser.mjs';
import { start } from './demo.mjs';
import { differences, top } from './pprof.mjs';

const [binary, screenshots] = process.argv.slice(2);
const LEAK = 'demo_leak::reader::Reader::start';
const TABS = ['Suspects', 'Table', 'Functions', 'Flame graph', 'About'];
/** What the documents show of the tabs: each once. */
const PICTURES = {
  'Suspects, light': 'page-suspects',
  'Table, light': 'page-table',
  'Functions, light': 'page-functions',
  'Flame graph, dark': 'page-flame-dark',
  'Suspects, narrow': 'page-narrow',
};
const TOKEN = '0123456789abcdef0123456789abcdef';

const folder = mkdtempSync(join(tmpdir(), 'check-ui-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const complaints = [];
const browser = await launch();
let passed = 0;

/** One thing that must hold. The first that does not ends the run. */
async function step(what, act) {
  const started = performance.now();
  await act();
  assert.deepEqual(complaints, [], what);
  passed += 1;
  console.log(`ok ${passed} - ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

const tab = (page, name) => page.getByRole('tab', { name }).click();
const said = (page) => page.locator('.what').textContent();
const rows = (page, table) => page.locator(`table.${table} tbody tr`);
const boxes = (page) => page.getByRole('treeitem');

/** After the view was changed: the profile and the table of what is chosen now. */
async function settled(page) {
  await page.waitForFunction(() => document.querySelector('#panel')?.getAttribute('aria-busy') === 'false');
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
}

/** The functions that the page counts from its flame graph. */
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
async function agreesWithPprof(page, type) {
  const ours = await functions(page);
  for (const link of await page.locator('.downloads a').all()) {
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    await download.saveAs(join(folder, download.suggestedFilename()));
  }
  const theirs = top(await page.locator('.downloads code').textContent(), folder, type);
  assert.deepEqual(differences(ours, theirs), []);
  return { ours, theirs };
}

// Two demos: one whose load goes on, and one whose load ends, so that what its connections held is freed; with more
// samples than usual, so that little memory shows too.
const options = ['--connections-per-second', '60', '--idle-seconds', '1', '--load-seconds'];
const [address, ended] = await Promise.all([
  start(binary, [...options, '3600'], { PPROF_RECORD: '1s' }),
  start(binary, [...options, '6'], { PPROF_RECORD: '1s', ALLOC_PROFILER_INTERVAL: '16384' }),
]);
const began = Date.now();
const page = await open(browser, address, complaints);

await step('the page comes up with its key facts, and with the list of profiles', async () => {
  await page.getByText('In use', { exact: true }).waitFor();
  await page.getByRole('heading', { name: /^Heap demo-/ }).waitFor();
  await page.locator('#profiles summary').click();
  assert.equal(await page.locator('#profiles table tr').count(), 4);
  await page.locator('#profiles summary').click();
});

await step('the leaking line is the first suspect within two minutes', async () => {
  await tab(page, 'Suspects');
  const first = page.locator('.suspect').first();
  await first.filter({ hasText: LEAK }).and(page.locator('.is-leak')).waitFor({ timeout: 120_000 - (Date.now() - began) });
  assert.match(await first.locator('.file').first().textContent(), /demo-leak\/src\/reader\.rs:\d+/);
});

await step('a suspect is shown in the flame graph and in the table', async () => {
  await page.getByRole('button', { name: 'Show in flame graph', exact: true }).first().click();
  await page.locator('.box.is-match').first().waitFor();
  assert.match(await page.locator('.found').textContent(), /iB \(\d+\.\d %\)/);
  await tab(page, 'Suspects');
  await page.getByRole('button', { name: 'Show in table', exact: true }).first().click();
  assert.ok((await rows(page, 'stacks').count()) > 0);
  await page.getByRole('searchbox').fill('');
});

await step('a mark is set, shown, and replaced only when asked again', async () => {
  const name = page.getByLabel('Mark', { exact: true });
  await name.fill('0');
  await page.getByRole('button', { name: 'Mark now', exact: true }).click();
  await page.getByText('A name begins with a letter').waitFor();
  await name.fill('under-load');
  await page.getByRole('button', { name: 'Mark now', exact: true }).click();
  await page.getByText('Marked as under-load.').waitFor();
  await page.locator('.mark', { hasText: 'under-load' }).waitFor();
  await page.getByRole('button', { name: 'Mark now', exact: true }).click();
  await page.getByRole('button', { name: 'Replace mark', exact: true }).click();
  await page.getByText('Marked as under-load.').waitFor();
  // That the name was taken is an answer, which the browser notes as a failure.
  const isConflict = (complaint) => complaint.includes('409') && complaint.includes('mark?name=under-load');
  assert.equal(complaints.filter(isConflict).length, 2, complaints.join('\n'));
  complaints.splice(0, complaints.length, ...complaints.filter((complaint) => !isConflict(complaint)));
});

await step('a click on the time line compares that moment with now, a drag its two ends', async () => {
  const plot = await page.locator('.over').boundingBox();
  const at = (share) => [plot.x + share * plot.width, plot.y + plot.height / 2];
  await page.mouse.click(...at(0.5));
  await settled(page);
  assert.match(await said(page), /^What changed from .* later\./);
  assert.match(page.url(), /#.*from=\d+/);
  await page.mouse.move(...at(0.3));
  await page.mouse.down();
  await page.mouse.move(...at(0.5), { steps: 4 });
  await page.mouse.move(...at(0.7), { steps: 4 });
  await page.mouse.up();
  await settled(page);
  assert.match(page.url(), /from=\d+[\d.]*&to=\d+/);
  const handle = await page.getByRole('slider', { name: 'to' }).boundingBox();
  await page.mouse.move(handle.x + handle.width / 2, handle.y + 60);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width + 5, handle.y + 60, { steps: 5 });
  await page.mouse.up();
  await settled(page);
  assert.doesNotMatch(page.url(), /to=/);
});

await step('the table sorts, opens a stack, and finds', async () => {
  await tab(page, 'Table');
  await page.getByRole('button', { name: 'Δ objects', exact: true }).click();
  assert.equal(await page.locator('th[aria-sort=descending]').textContent(), 'Δ objects ▼');
  const values = await page.locator('table.stacks tbody tr td:nth-child(4)').evaluateAll((cells) => cells.map((cell) => Number(cell.dataset.value)));
  assert.deepEqual(values, values.toSorted((a, b) => b - a));
  await page.getByRole('button', { name: 'Δ in use', exact: true }).click();
  await rows(page, 'stacks').first().getByRole('button').click();
  assert.ok((await page.locator('tr.is-open li').count()) > 3);
  await page.getByRole('searchbox').fill('READER.rs');
  const found = await rows(page, 'stacks').count();
  await page.getByRole('searchbox').fill('no such function');
  await page.getByText('No stack has').waitFor();
  assert.ok(found > 0);
  await page.getByRole('searchbox').fill('');
});

await step('the flame graph zooms, inverts, searches, and shows what is inlined', async () => {
  await page.locator('select[name=from]').selectOption('');
  await settled(page);
  await tab(page, 'Flame graph');
  const all = await boxes(page).count();
  assert.ok(all >= 4, `${all} boxes`);
  assert.ok((await page.locator('.box.is-inlined').count()) > 0);
  await boxes(page).last().click();
  assert.match(page.url(), /zoom=/);
  assert.ok((await boxes(page).count()) <= all);
  await page.keyboard.press('Escape');
  assert.doesNotMatch(page.url(), /zoom=/);
  await page.getByRole('searchbox').fill(LEAK);
  assert.ok((await page.locator('.box.is-match').count()) > 0);
  await page.getByLabel('Invert').check();
  assert.equal(await page.locator('.box').nth(1).getAttribute('aria-label').then((label) => label.startsWith(LEAK)), true);
  await page.getByLabel('Invert').uncheck();
  await page.getByLabel('Hide std').uncheck();
  await settled(page);
  await page.locator('.box.is-std').nth(1).waitFor();
  await page.getByLabel('Hide std').check();
  await settled(page);
  await page.getByRole('searchbox').fill('');
});

await step('what is shown agrees with go tool pprof to the byte, in all four values', async () => {
  for (const type of ['inuse_space', 'inuse_objects', 'alloc_space', 'alloc_objects']) {
    await page.getByLabel('Value').selectOption(type);
    await settled(page);
    const { ours } = await agreesWithPprof(page, type);
    assert.ok(ours.has(LEAK));
  }
  await page.getByLabel('Value').selectOption('inuse_space');
  await page.getByLabel('Hide std').uncheck();
  await settled(page);
  const { theirs } = await agreesWithPprof(page, 'inuse_space');
  assert.ok([...theirs.keys()].some((name) => name.startsWith('core::')), 'all frames are there');
  await page.getByLabel('Hide std').check();
  await settled(page);
});

await step('a capture counts down, and nothing stands still meanwhile', async () => {
  await page.getByLabel('Next').fill('3');
  await page.getByRole('button', { name: 'Capture', exact: true }).click();
  await page.getByText(/[123] s left/).waitFor();
  await tab(page, 'Table');
  const before = await page.locator('.reading').textContent();
  await page.waitForFunction((before) => document.querySelector('.reading').textContent !== before, before);
  await page.getByText('What changed in the 3.0 s until').waitFor();
  await page.getByLabel('Value').selectOption('alloc_space');
  await agreesWithPprof(page, 'alloc_space');
  assert.match(await said(page), /^What changed in the 3\.0 s until/);
  await page.getByLabel('Value').selectOption('inuse_space');
});

await step('a capture is cancelled, and the next is answered', async () => {
  const aborted = page.waitForEvent('requestfailed', (request) => request.url().includes('seconds=60'));
  await page.getByLabel('Next').fill('60');
  await page.getByRole('button', { name: 'Capture', exact: true }).click();
  await page.getByText(/[56]\d s left/).waitFor();
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await aborted;
  assert.equal(await page.getByText('s left').count(), 0);
  await page.getByLabel('Next').fill('1');
  await page.getByRole('button', { name: 'Capture', exact: true }).click();
  await page.getByText('What changed in the 1.0 s until').waitFor();
});

await step('a difference with what shrank agrees with go tool pprof to the byte', async () => {
  const after = await open(browser, ended, complaints);
  // From the middle of the load, by what had been allocated, to now: what its connections held is gone.
  const { records } = await (await fetch(`${ended}history`)).json();
  const middle = records.find(({ alloc_space }) => alloc_space > records.at(-1).alloc_space / 2);
  await after.goto(`${ended}#from=${middle.time_nanos / 1e9}`);
  await settled(after);
  const { ours } = await agreesWithPprof(after, 'inuse_space');
  const cums = [...ours.values()].map(([, cum]) => cum);
  assert.ok(cums.some((cum) => cum < 0) && cums.some((cum) => cum > 0), 'grew and shrank');
  assert.equal(await after.locator('.downloads a').count(), 2);
  await tab(after, 'Flame graph');
  await after.locator('.is-difference .box').nth(2).waitFor();
  await picture(after, 'page-difference');
  await close(after);
});

await step('paused it asks nothing, and goes on where it was', async () => {
  let asked = 0;
  const count = (request) => (asked += request.url().includes('/history') ? 1 : 0);
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await page.waitForTimeout(500);
  page.on('request', count);
  await page.waitForTimeout(2500);
  assert.equal(asked, 0);
  await Promise.all([page.waitForRequest('**/history'), page.getByRole('button', { name: 'Resume', exact: true }).click()]);
  page.off('request', count);
});

await step('the command is copied', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy', exact: true }).click();
  await page.getByText('Copied.').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.locator('.downloads code').textContent());
});

await step('the address brings the same view back', async () => {
  await page.locator('select[name=from]').selectOption('under-load');
  await settled(page);
  await agreesWithPprof(page, 'inuse_space');
  await tab(page, 'Flame graph');
  await page.getByRole('searchbox').fill('reader');
  await boxes(page).nth(1).click();
  const again = await open(browser, page.url(), complaints);
  await again.locator('.is-difference').waitFor();
  assert.equal(await again.getByRole('tab', { selected: true }).textContent(), 'Flame graph');
  assert.equal(await again.getByRole('searchbox').inputValue(), 'reader');
  assert.equal(await again.locator('select[name=from]').inputValue(), 'under-load');
  const zoomed = async (of) => (await of.locator('[role=treeitem][aria-selected=true]').getAttribute('aria-label')).split(',')[0];
  assert.equal(await zoomed(again), await zoomed(page));
  await close(again);
});

await step('it is done with keys alone', async () => {
  const keyed = await open(browser, address, complaints);
  const focused = () => keyed.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  const reach = async (what) => {
    for (let presses = 0; presses < 40; presses += 1) {
      await keyed.keyboard.press('Tab');
      if ((await focused()).includes(what)) return;
    }
    assert.fail(`${what} cannot be reached with Tab; the last was ${await focused()}`);
  };
  await keyed.getByRole('slider', { name: 'Compare from' }).waitFor();
  await reach('Compare from');
  for (const key of ['End', 'ArrowLeft', 'PageDown']) await keyed.keyboard.press(key);
  await settled(keyed);
  assert.match(keyed.url(), /from=\d/);
  const chosen = keyed.url();
  await reach('to');
  await keyed.keyboard.press('ArrowLeft');
  assert.match(keyed.url(), /to=\d/);
  await keyed.keyboard.press('End');
  assert.equal(keyed.url(), chosen);
  await keyed.locator('select[name=from]').selectOption('under-load');
  await settled(keyed);
  await keyed.getByRole('slider', { name: 'to', exact: true }).focus();
  await keyed.keyboard.press('ArrowLeft');
  assert.match(keyed.url(), /from=under-load&to=\d/);
  await reach('Suspects');
  await keyed.keyboard.press('Home');
  for (const name of TABS.slice(1, 4)) {
    await keyed.keyboard.press('ArrowRight');
    assert.equal(await focused(), name);
  }
  await settled(keyed);
  await reach('all, ');
  await keyed.keyboard.press('ArrowDown');
  const below = await focused();
  assert.ok(!below.startsWith('all'), below);
  await keyed.keyboard.press('Enter');
  assert.match(keyed.url(), /zoom=/);
  assert.equal(await focused(), below);
  await keyed.keyboard.press('ArrowUp');
  assert.match(await focused(), /^all, /);
  await keyed.keyboard.press('Escape');
  assert.doesNotMatch(keyed.url(), /zoom=/);
  await keyed.keyboard.press('2');
  await keyed.locator('table.stacks').waitFor();
  await keyed.keyboard.press('/');
  await keyed.keyboard.type('reader');
  assert.equal(await keyed.getByRole('searchbox').inputValue(), 'reader');
  await close(keyed);
});

for (const [colorScheme, width, height] of [['light', 1280, 760], ['dark', 1280, 760], ['light', 400, 900]]) {
  await step(`every tab is accessible, ${colorScheme}, ${width} pixels wide`, async () => {
    const seen = await open(browser, `${address}#from=under-load`, complaints, { colorScheme, viewport: { width, height } });
    await seen.locator('.timeline').waitFor();
    for (const name of TABS) {
      await tab(seen, name);
      await settled(seen);
      await accessibility(seen, `${name}, ${colorScheme}, ${width}`);
      const overflow = await seen.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `${name}: ${overflow} pixels stick out`);
      if (name === 'Flame graph') await boxes(seen).filter({ hasText: 'Reader::start' }).first().hover();
      const shown = PICTURES[`${name}, ${width === 400 ? 'narrow' : colorScheme}`];
      if (shown) await picture(seen, shown);
    }
    await close(seen);
  });
}

await step('a limit, losses, and missing names are told', async () => {
  const seen = await open(browser, 'about:blank', complaints);
  await seen.route('**/history', async (route) => {
    const history = await (await route.fetch()).json();
    const limit = (of) => ({ ...of, memory_limit_bytes: 256 << 20 });
    const told = { now: limit(history.now), records: history.records.map(limit), symbols: 'The file is stripped.' };
    await route.fulfill({ json: { ...history, ...told } });
  });
  const lost = '7 samples (0.1 % of those taken) are missing from what is in use.';
  await seen.route('**/heap?*format=json*', async (route) => {
    const table = await (await route.fetch()).json();
    await route.fulfill({ json: { ...table, notes: [...table.notes, lost] } });
  });
  await seen.goto(address);
  await seen.locator('.key.limit').waitFor();
  assert.match(await seen.locator('.facts').textContent(), /Limit256 MiBresident: \d+\.\d %/);
  // How sure the profile is, and what it costs, is nothing that is missing.
  await settled(seen);
  for (const name of TABS) {
    await tab(seen, name);
    assert.deepEqual(await seen.locator('.losses li').allTextContents(), [lost], name);
  }
  await seen.getByText('The file is stripped.').waitFor();
  await close(seen);
});

await step('names are text, whatever is in them', async () => {
  const evil = '<img src=x onerror="document.title=\'evil\'">';
  const seen = await open(browser, 'about:blank', complaints);
  const rename = async (route) => {
    const text = await (await route.fetch()).text();
    await route.fulfill({ contentType: 'application/json', body: text.replaceAll(LEAK, JSON.stringify(evil).slice(1, -1)) });
  };
  await seen.route('**/leaks?*', rename);
  await seen.route('**/heap?*format=json*', rename);
  await seen.goto(address);
  await seen.locator('.suspect', { hasText: evil }).first().waitFor();
  await tab(seen, 'Table');
  await seen.locator('table.stacks th', { hasText: evil }).first().waitFor();
  assert.equal(await seen.title(), '/debug/pprof/');
  assert.equal(await seen.locator('img').count(), 0);
  await close(seen);
});

await step('without scripts there is the list of profiles', async () => {
  const plain = await open(browser, address, complaints, { javaScriptEnabled: false });
  assert.ok(await plain.getByRole('link', { name: 'heap', exact: true }).isVisible());
  await close(plain);
});

await step('with a token, and with the recorder off, it works too', async () => {
  const quiet = await start(binary, ['--idle-seconds', '0', '--load-seconds', '0'], { PPROF_TOKEN: TOKEN, PPROF_RECORD: 'off' });
  const seen = await open(browser, quiet, complaints, { httpCredentials: { username: 'pprof', password: TOKEN } });
  await seen.getByText('The recorder is off').waitFor();
  await settled(seen);
  assert.match(await said(seen), /^As of /);
  await seen.getByLabel('Next').fill('1');
  await seen.getByRole('button', { name: 'Capture', exact: true }).click();
  await seen.getByText('What changed in the 1.0 s until').waitFor();
  await accessibility(seen, 'recorder off');
  await close(seen);
});

await browser.close();
console.log(`${passed} passed, 0 failed`);
process.exit(0);
