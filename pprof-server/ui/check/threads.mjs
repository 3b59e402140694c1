// These steps look at threads and tasks: where they wait, how old they are, and which of them belong to a suspect.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { accessibility, close, fits, open } from './browser.mjs';
import { start } from './demo.mjs';
import { agreesWithPprof, boxes, downloaded, picture, rows, said, settled, step, tab } from './page.mjs';

const TABS = ['Table', 'Functions', 'Flame graph'];
/** The line at which the tasks of the leak wait, and what they wait for. */
const LINE = 'demo_leak::reader::Reader::sample_for_ever';
const PLACE = /demo-leak\/src\/reader\.rs:\d+/;

const leakRow = (page) => rows(page, 'lines').filter({ hasText: LINE }).first();
const headings = (page) => page.locator('table.lines thead button').evaluateAll((all) => all.map((one) => one.textContent.replace(/ [▲▼]$/, '')));
/** Returns what the columns of the row say, by their headings. */
async function cellsOf(page, row) {
  const texts = await row.locator(':scope > *').evaluateAll((cells) => cells.map((cell) => cell.textContent));
  return Object.fromEntries((await headings(page)).map((heading, index) => [heading, texts[index]]));
}

/** Waits until tasks of the leak are among the samples. The page looks once, when it is asked to. */
async function leaks(address) {
  const deadline = Date.now() + 60_000;
  while (!(await (await fetch(`${address}goroutine?format=text`)).text()).includes(LINE)) {
    assert.ok(Date.now() < deadline, 'no task of the leak is known after 60 s');
    await delay(100);
  }
}

export async function lookAtThreads({ browser, binary, complaints }) {
  // It samples densely, so that many of its tasks are known, and goes on leaking, so that they are suspected.
  const options = ['--connections-per-second', '60', '--idle-seconds', '1', '--load-seconds', '3600'];
  const address = await start(binary, options, { PPROF_RECORD: '1s', ALLOC_PROFILER_INTERVAL: '4096' });
  await leaks(address);
  const page = await open(browser, address, complaints);
  await lookAtRows({ page });
  await compareWithSuspects({ page });
  await narrowToKinds({ page });
  await refuseAndKeep({ browser, page, address, complaints });
  await close(page);
  await lookByKeys({ browser, address, complaints });
  await lookInSizes({ browser, address, complaints });
}

async function lookAtRows({ page }) {
  await step('threads and tasks are a link beside the heap, and are looked at when that is opened', async () => {
    let asked = 0;
    page.on('request', (request) => (asked += request.url().includes('/goroutine') ? 1 : 0));
    await page.locator('.timeline').waitFor();
    assert.equal(asked, 0);
    await page.getByRole('link', { name: 'Threads and tasks', exact: true }).click();
    await leakRow(page).waitFor();
    assert.match(page.url(), /#of=threads&tab=table$/);
    assert.deepEqual(await page.getByRole('tab').allTextContents(), TABS);
    assert.match(await said(page), /^At \d\d:\d\d:\d\d, \d+ threads? and [\d\s]+ ± [\d\s]+ tasks\. Refresh looks anew\. Each by itself, as text/);
    assert.equal(asked, 2);
    const link = await page.getByRole('link', { name: 'Each by itself, as text', exact: true }).getAttribute('href');
    const text = await page.evaluate(async (link) => (await fetch(link)).text(), link);
    assert.match(text, /^task 0x[0-9a-f]+ \[suspended.*\n.*Receiver::recv/m);
    asked = 2;
    await page.getByRole('button', { name: 'Refresh', exact: true }).click();
    await settled(page);
    assert.equal(asked, 4);
  });

  await step('tasks are rows by the line of one’s own at which they wait, with error and ages', async () => {
    const cells = await cellsOf(page, leakRow(page));
    assert.match(cells['how many'], /^[\d\s]+$/);
    assert.match(cells['± std. error'], /^[\d\s]+$/);
    assert.deepEqual([cells.kind, cells.state], ['task', 'suspended']);
    assert.match(cells['waits in'], /Receiver::recv$/);
    assert.match(cells['age, median'], / (s|min)$/);
    assert.match(cells.oldest, / (s|min)$/);
    assert.match(cells.at, PLACE);
    const kinds = new Set(await rows(page, 'lines').evaluateAll((all) => all.map((row) => row.children[2].textContent)));
    assert.deepEqual([...kinds].sort(), ['task', 'thread']);
  });

  await step('the chain of what a task waits for stands behind its row', async () => {
    await leakRow(page).getByRole('button').first().click();
    const chain = page.locator('tr.is-open .frames .function');
    assert.deepEqual(await chain.allTextContents(), ['tokio::sync::mpsc::bounded::Receiver::recv', LINE]);
    assert.match(page.url(), /open=\w+/);
    await leakRow(page).getByRole('button').first().click();
    assert.equal(await chain.count(), 0);
  });
}

async function compareWithSuspects({ page }) {
  await step('what belongs to a suspect comes first, and the suspect says where its tasks wait', async () => {
    await page.locator('td', { hasText: /^(leak|growing)$/ }).first().waitFor();
    const suspected = await rows(page, 'lines').evaluateAll((all) => all.map((row) => [...row.children].at(-2).textContent));
    assert.ok(suspected.includes(''), suspected.join());
    assert.deepEqual(suspected, suspected.toSorted((a, b) => Number(b !== '') - Number(a !== '')));
    assert.match((await cellsOf(page, leakRow(page))).suspected, /^(leak|growing)$/);
    await page.keyboard.press('h');
    await tab(page, 'Suspects');
    const card = page.locator('.suspect').filter({ has: page.locator('.task-waits', { hasText: LINE }) }).first();
    const waits = card.locator('.task-waits');
    assert.match(await waits.textContent(), /^It has [\d\s]+ ± [\d\s]+ tasks by \d+ samples?(, [+−]?[\d\s]+ ± [\d\s]+ since it grows)?\. This is where they were at \d\d:\d\d:\d\d:/);
    const line = waits.locator('> ul > li', { hasText: LINE });
    assert.match(await line.textContent(), PLACE);
    assert.match(await line.textContent(), / in bounded::Receiver::recv, .* old \(median\), .* the oldest/);
    await line.locator('summary').click();
    assert.deepEqual(await line.locator('.frames .function').allTextContents(), ['tokio::sync::mpsc::bounded::Receiver::recv', LINE]);
    await card.getByRole('button', { name: 'Show in threads and tasks' }).click();
    assert.match(page.url(), /of=threads&tab=table&search=demo_leak.*&kind=task/);
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: 'Leave: only tasks' }).click();
  });
}

async function narrowToKinds({ page }) {
  await step('threads or tasks alone, the search and all tabs agree with go tool pprof', async () => {
    await agreesWithPprof(page, 'goroutine');
    await page.locator('select[name=kind]').selectOption('task');
    assert.match(page.url(), /kind=task/);
    assert.match(await page.locator('.downloads code').textContent(), / -tagfocus='kind=\^task\$' /);
    const { ours } = await agreesWithPprof(page, 'goroutine');
    assert.ok(ours.has(LINE));
    await page.locator('select[name=kind]').selectOption('thread');
    const { ours: threads } = await agreesWithPprof(page, 'goroutine');
    assert.ok(!threads.has(LINE));
    await page.locator('select[name=kind]').selectOption('');
    await tab(page, 'Flame graph');
    await page.getByRole('searchbox').fill('reader.rs');
    assert.ok((await page.locator('.box.is-match').count()) > 0);
    assert.match(await page.locator('.found').textContent(), /^“reader\.rs”: [\d\s]+ \(\d+\.\d %\) on \d+ of \d+ stacks/);
    await page.getByRole('searchbox').fill('');
    assert.ok((await boxes(page).count()) > 1);
  });
}

async function refuseAndKeep({ browser, page, address, complaints }) {
  await step('what could not be read is said in the words of the server, and a refusal too', async () => {
    const words = 'tasks: unread=not-a-task: 3 samples: what is in memory there is no task of a known version of tokio';
    const strange = await open(browser, 'about:blank', complaints);
    await strange.route('**/goroutine?*', async (route) => {
      const answer = await (await route.fetch()).json();
      await route.fulfill({ json: { ...answer, notes: [...answer.notes, words] } });
    });
    await strange.goto(`${address}#of=threads`);
    await strange.locator('.losses li', { hasText: words }).waitFor();
    await strange.route('**/goroutine', (route) => route.fulfill({ status: 503, body: 'threads cannot be looked at: why' }));
    const told = await said(strange);
    await strange.getByRole('button', { name: 'Refresh', exact: true }).click();
    await strange.getByRole('alert').filter({ hasText: /^threads cannot be looked at: why$/ }).waitFor();
    assert.equal(await said(strange), told);
    complaints.splice(0, complaints.length, ...complaints.filter((complaint) => !complaint.includes('503')));
    await close(strange);
  });

  await step('a saved page has the threads and tasks, and needs no program', async () => {
    await tab(page, 'Table');
    const told = await leakRow(page).textContent();
    const kept = await open(browser, pathToFileURL(await downloaded(page, 'Save as HTML')).href, complaints);
    await leakRow(kept).waitFor();
    assert.equal(await leakRow(kept).textContent(), told);
    await kept.getByText(/^Saved at .*: another look at them needs the program\.$/).waitFor();
    await accessibility(kept, 'saved threads and tasks');
    await close(kept);
  });
}

async function lookByKeys({ browser, address, complaints }) {
  await step('threads and tasks are looked at with keys alone', async () => {
    const keyed = await open(browser, address, complaints);
    await keyed.locator('.timeline').waitFor();
    await keyed.keyboard.press('t');
    await leakRow(keyed).waitFor();
    for (const [index, name] of TABS.entries()) {
      await keyed.keyboard.press(String(index + 1));
      assert.equal(await keyed.getByRole('tab', { selected: true }).textContent(), name);
    }
    await keyed.keyboard.press('1');
    const focused = () => keyed.evaluate(() => document.activeElement.textContent);
    for (let presses = 0; !(await focused()).endsWith(LINE); presses += 1) {
      assert.ok(presses < 60, `the row cannot be reached with Tab; the last was ${await focused()}`);
      await keyed.keyboard.press('Tab');
    }
    await keyed.keyboard.press('Enter');
    await keyed.locator('tr.is-open .frames').waitFor();
    await close(keyed);
  });
}

async function lookInSizes({ browser, address, complaints }) {
  for (const [colorScheme, width, height] of [['light', 1280, 760], ['dark', 1280, 760], ['dark', 390, 900], ['light', 390, 900]]) {
    await step(`threads and tasks are accessible, ${colorScheme}, ${width} pixels wide`, async () => {
      const seen = await open(browser, `${address}#of=threads`, complaints, { colorScheme, viewport: { width, height } });
      await leakRow(seen).waitFor();
      for (const name of TABS) {
        await tab(seen, name);
        await fits(seen, `${name} of threads and tasks, ${colorScheme}, ${width}`);
      }
      await tab(seen, 'Table');
      await leakRow(seen).getByRole('button').first().click();
      await accessibility(seen, `an open row of threads and tasks, ${colorScheme}, ${width}`);
      if (width === 1280 && colorScheme === 'light') await picture(seen, 'page-threads', { width, height });
      await close(seen);
    });
  }
}
