// These steps capture CPU time, and look at what was busy by all means that the heap has.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { accessibility, close, fits, open } from './browser.mjs';
import { agreesWithPprof, boxes, cells, downloaded, labels, nameOf, picture, said, settled, showsNow, step, tab } from './page.mjs';

const CPU_TABS = ['Table', 'Functions', 'Flame graph'];
/** A demo that passes on lines is busy for some hundredths of each second, so that this is some dozens of samples. */
const SECONDS = 4;
const HZ = 1000;
const BUSY = /^Could not enable CPU profiling: cpu profiling already in use$/;

/** Captures, and returns what is said of it. */
async function capture(page, seconds = SECONDS, hz = HZ) {
  const before = await said(page);
  await page.locator('input[name=seconds]').fill(String(seconds));
  await page.locator('input[name=hz]').fill(String(hz));
  await page.getByRole('button', { name: 'Capture CPU time', exact: true }).click();
  await page.waitForFunction((before) => ![before, ''].includes(document.querySelector('.what').textContent), before);
  await settled(page);
  return said(page);
}

/** `address` is that of a demo whose load goes on. */
export async function captureCpu({ browser, address, complaints }) {
  const page = await open(browser, address, complaints);
  await captureFirst({ page, complaints });
  await compareWithPprof({ page });
  await narrowBusy({ page });
  await keepCaptured({ browser, page, address, complaints });
  await close(page);
  await captureByKeys({ browser, address, complaints });
  await lookAtCpu({ browser, address, complaints });
}

async function captureFirst({ page, complaints }) {
  await step('CPU time is a link beside the heap, and nothing is sampled until it is asked for', async () => {
    let asked = 0;
    page.on('request', (request) => (asked += request.url().includes('/profile') ? 1 : 0));
    await page.getByRole('link', { name: 'CPU', exact: true }).click();
    await page.getByText('Capture shows what the program’s threads do').waitFor();
    assert.match(page.url(), /#of=cpu&tab=flame$/);
    assert.deepEqual(await page.getByRole('tab').allTextContents(), CPU_TABS);
    assert.equal(asked, 0);
    assert.equal(await page.locator('.timeline, select[name=type], select[name=age]').count(), 0);
  });

  await step('a capture of CPU time counts down, is cancelled, and the next is answered', async () => {
    const aborted = page.waitForEvent('requestfailed', (request) => request.url().includes('profile?seconds=60&hz=100'));
    await page.locator('input[name=seconds]').fill('60');
    await page.getByRole('button', { name: 'Capture CPU time', exact: true }).click();
    await page.getByText(/[56]\d s left/).waitFor();
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await aborted;
    await page.locator('input[name=seconds]').waitFor();
    assert.equal(await page.locator('.error').count(), 0);
    // The server notices within a moment that nobody waits any more.
    await page.waitForFunction(async () => (await fetch('profile?seconds=1')).ok, null, { polling: 500 });
    complaints.splice(0, complaints.length, ...complaints.filter((complaint) => !/500.*profile\?seconds=1|status of 500/.test(complaint)));
    const told = await capture(page);
    assert.match(told, /^\d[\d.]* m?s of CPU time in the 4\.0 s until \d\d:\d\d:\d\d, \d\.\d\d cores\. \d+ samples, none lost, of threads with \d+ names?\./);
  });

  await step('a trace is offered as a file, with how to open it', async () => {
    await page.locator('input[name=trace-seconds]').fill('1');
    await page.getByText('drag the file onto the page of Firefox Profiler').waitFor();
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download a trace', exact: true }).click(),
    ]);
    assert.equal(file.suggestedFilename(), 'trace.json');
    const trace = JSON.parse(await readFile(await file.path(), 'utf8'));
    assert.ok(trace.meta.preprocessedProfileVersion > 0 && trace.threads.length > 0);
  });
}

async function compareWithPprof({ page }) {
  await step('what was busy agrees with go tool pprof to the nanosecond, whatever is left out', async () => {
    const { ours } = await agreesWithPprof(page, 'cpu');
    assert.ok([...ours.keys()].some((name) => name.startsWith('demo_leak::')), [...ours.keys()].join('\n'));
    await page.getByLabel('My code only').check();
    const { ours: own } = await agreesWithPprof(page, 'cpu');
    assert.ok(own.size > 0 && own.size < ours.size);
    await page.getByLabel('My code only').uncheck();
    await page.getByLabel('Hide std').uncheck();
    const { ours: all } = await agreesWithPprof(page, 'cpu');
    assert.ok(all.size > ours.size);
    await page.getByLabel('Hide std').check();
  });

  await step('rows are of lines or of threads, and one thread is shown, as in go tool pprof -tagfocus', async () => {
    await tab(page, 'Table');
    const sum = () => cells(page).then((all) => all.reduce((sum, [, value]) => sum + value, 0));
    const whole = await sum();
    await page.getByLabel('A row for each').selectOption('thread');
    const threads = await cells(page);
    assert.equal(await sum(), whole);
    const [busiest, value] = threads[0];
    await page.locator('select[name=thread]').selectOption(busiest);
    assert.match(page.url(), /thread=/);
    assert.deepEqual(await cells(page), [[busiest, value]]);
    assert.match(await page.locator('.downloads code').textContent(), / -tagfocus='thread=\^/);
    await agreesWithPprof(page, 'cpu');
    await page.getByRole('button', { name: `Leave: only the thread ${busiest}` }).click();
    await tab(page, 'Table');
    await page.getByLabel('A row for each').selectOption('line');
    assert.equal(await sum(), whole);
  });
}

async function narrowBusy({ page }) {
  await step('the search, only this, a zoom and a copied line do what they do for the heap', async () => {
    await tab(page, 'Flame graph');
    await boxes(page).nth(1).click();
    assert.match(page.url(), /zoom=/);
    const name = await nameOf(boxes(page).and(page.locator('[aria-selected=true]')));
    await page.keyboard.press('Escape');
    await page.getByRole('searchbox').fill('demo_leak');
    assert.match(await page.locator('.found').textContent(), /^“demo_leak”: \d[\d.]* m?s \(\d+\.\d %\) on \d+ of \d+ stacks/);
    await page.getByRole('button', { name: 'Only these', exact: true }).click();
    await page.locator('.chip', { hasText: 'only “demo_leak”' }).waitFor();
    await agreesWithPprof(page, 'cpu');
    await page.getByRole('button', { name: /^Leave: only/ }).click();
    assert.ok(name.length > 0);
  });
}

async function keepCaptured({ browser, page, address, complaints }) {
  await step('a capture that fails shows the words of the server, and what was captured stays', async () => {
    const told = await said(page);
    const meanwhile = [];
    const other = await open(browser, `${address}#of=cpu`, meanwhile);
    await other.locator('input[name=seconds]').fill('60');
    await other.getByRole('button', { name: 'Capture CPU time', exact: true }).click();
    await other.getByText(/[56]\d s left/).waitFor();
    await page.getByRole('button', { name: 'Capture CPU time', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: BUSY }).waitFor();
    assert.equal(await said(page), told);
    const isRefusal = (complaint) => complaint.includes('500');
    assert.ok(complaints.length > 0 && complaints.every(isRefusal), complaints.join('\n'));
    complaints.length = 0;
    await close(other);
    assert.deepEqual(meanwhile, []);
  });

  await step('the heap is where it was left, and so is what was captured', async () => {
    const told = await said(page);
    await page.getByRole('link', { name: 'Heap', exact: true }).click();
    await settled(page);
    await showsNow(page);
    await page.keyboard.press('c');
    assert.equal(await said(page), told);
    await page.goBack();
    await page.locator('.timeline').waitFor();
    await page.goForward();
    assert.equal(await said(page), told);
  });

  await step('a saved page has the CPU profile, and needs no program', async () => {
    await tab(page, 'Flame graph');
    const told = [await said(page), await labels(page)];
    const file = await downloaded(page, 'Save as HTML');
    const kept = await open(browser, pathToFileURL(file).href, complaints);
    await boxes(kept).nth(1).waitFor();
    assert.deepEqual([await said(kept), await labels(kept)], told);
    await kept.getByText(/^Saved at .*: another capture needs the program\.$/).waitFor();
    assert.equal(await kept.getByRole('link', { name: 'Heap', exact: true }).count(), 0);
    await agreesWithPprof(kept, 'cpu');
    await accessibility(kept, 'saved CPU profile');
    await close(kept);
  });
}

async function captureByKeys({ browser, address, complaints }) {
  await step('CPU time is captured and looked at with keys alone', async () => {
    const keyed = await open(browser, address, complaints);
    await keyed.locator('.timeline').waitFor();
    await keyed.keyboard.press('c');
    const focused = () => keyed.evaluate(() => document.activeElement.name || document.activeElement.textContent);
    for (let presses = 0; (await focused()) !== 'seconds'; presses += 1) {
      assert.ok(presses < 40, `the seconds cannot be reached with Tab; the last was ${await focused()}`);
      await keyed.keyboard.press('Tab');
    }
    await keyed.keyboard.press('Control+A');
    await keyed.keyboard.type('1');
    await keyed.keyboard.press('Enter');
    // The focus goes to what can be done next: first to cancel it, then to look at it.
    await keyed.waitForFunction(() => document.activeElement.textContent === 'Cancel');
    await keyed.getByText(/of CPU time in the 1\.0 s/).waitFor();
    await keyed.waitForFunction(() => document.activeElement.id === 'panel');
    for (const [key, name] of CPU_TABS.map((name, index) => [String(index + 1), name])) {
      await keyed.keyboard.press(key);
      assert.equal(await keyed.getByRole('tab', { selected: true }).textContent(), name);
    }
    await keyed.keyboard.press('h');
    await keyed.locator('.timeline').waitFor();
    await close(keyed);
  });
}

async function lookAtCpu({ browser, address, complaints }) {
  for (const [colorScheme, width, height] of [['light', 1280, 760], ['dark', 1280, 760], ['dark', 390, 900], ['light', 390, 900]]) {
    await step(`CPU time is accessible, ${colorScheme}, ${width} pixels wide`, async () => {
      const seen = await open(browser, `${address}#of=cpu`, complaints, { colorScheme, viewport: { width, height } });
      await seen.getByText('Capture shows what the program’s threads do').waitFor();
      assert.equal(await seen.title(), 'CPU');
      await accessibility(seen, `CPU before a capture, ${colorScheme}, ${width}`);
      await capture(seen);
      assert.equal(await seen.title(), 'demo-leak – CPU');
      for (const name of CPU_TABS) {
        await tab(seen, name);
        await fits(seen, `${name} of CPU, ${colorScheme}, ${width}`);
        if (name === 'Flame graph' && width === 1280 && colorScheme === 'light') await picture(seen, 'page-cpu', { width, height });
      }
      await close(seen);
    });
  }
}
