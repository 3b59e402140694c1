// These steps compare the figures of the page with those of `go tool pprof`: of a moment, of a capture, and of a difference.

import assert from 'node:assert/strict';
import { close, open } from './browser.mjs';
import { visit } from './demo.mjs';
import { agreesWithPprof, LEAK, picture, rows, said, settled, showsNow, step, tab } from './page.mjs';

/** What is said of a capture of three seconds; on a busy machine it takes longer, and says so. */
const CAPTURED = /^What changed in the [3-9]\.\d s until/;

/** So many clients have some 20 KiB of buffers each in the demo, of which many are sampled. */
const CLIENTS = 60;

/** Marks a moment at which clients are connected, whose buffers are freed when they leave. What they leak stays. */
export async function markConnected(address) {
  const clients = await visit(address, CLIENTS);
  const answer = await fetch(`${address}mark?name=connected`, { method: 'POST' });
  assert.ok(answer.ok, await answer.text());
  clients.forEach((client) => client.destroy());
}

/** `ended` is the address of a demo whose load has ended, with the mark `connected` from before it. */
export async function compareFigures({ browser, page, ended, complaints }) {
  await compareValues({ page });
  await captureAndCancel({ browser, page, complaints });
  await askForOtherMoments({ browser, ended, complaints });
}

async function compareValues({ page }) {
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
}

async function captureAndCancel({ browser, page, complaints }) {
  await step('a capture counts down, and nothing stands still meanwhile', async () => {
    await page.getByLabel('Capture the next').fill('3');
    await page.getByRole('button', { name: 'Capture', exact: true }).click();
    await page.getByText(/[123] s left/).waitFor();
    await tab(page, 'Table');
    const before = await page.locator('.reading').textContent();
    await page.waitForFunction((before) => document.querySelector('.reading').textContent !== before, before);
    await page.getByText(CAPTURED).waitFor();
    await page.getByLabel('Value').selectOption('alloc_space');
    await agreesWithPprof(page, 'alloc_space');
    assert.match(await said(page), CAPTURED);
    await page.getByLabel('Value').selectOption('inuse_space');
  });

  await step('a capture has samples and errors, is in the address, and can be left', async () => {
    await tab(page, 'Table');
    const cells = await rows(page, 'lines').first().locator('td').allTextContents();
    assert.ok(cells.length > 5 && cells.slice(0, 5).every((cell) => /\d/.test(cell)), cells.join(' | '));
    assert.match(page.url(), /capture=\d+\.\d{3}%2B3/);
    const again = await open(browser, page.url(), complaints);
    await settled(again);
    assert.match(await said(again), /^What changed from .* these are of the nearest records\.$/);
    await close(again);
    const chip = page.locator('.chip', { hasText: /^Capture \d\d:\d\d:\d\d, [3-9]\.\d s/ });
    await chip.getByRole('button').click();
    await settled(page);
    await showsNow(page);
    assert.equal(await chip.count(), 0);
    await page.goBack();
    await chip.waitFor();
    assert.match(await said(page), CAPTURED);
    await chip.getByRole('button').click();
    await settled(page);
  });

  await step('a capture is cancelled, and the next is answered', async () => {
    const aborted = page.waitForEvent('requestfailed', (request) => request.url().includes('seconds=60'));
    await page.getByLabel('Capture the next').fill('60');
    await page.getByRole('button', { name: 'Capture', exact: true }).click();
    await page.getByText(/[56]\d s left/).waitFor();
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await aborted;
    await page.locator('.capture .left').waitFor({ state: 'detached' });
    await page.getByLabel('Capture the next').fill('1');
    await page.getByRole('button', { name: 'Capture', exact: true }).click();
    await page.getByText(/^What changed in the [1-9]\.\d s until/).waitFor();
    await page.getByRole('button', { name: /^Leave: Capture/ }).click();
    await settled(page);
  });
}

async function askForOtherMoments({ browser, ended, complaints }) {
  await step('a moment that is gone offers the nearest', async () => {
    const old = await open(browser, 'about:blank', []);
    await old.goto(`${ended}#from=1000000000&tab=table`);
    await old.getByText(/^This moment is not recorded, or not any more: the records reach back to /).waitFor();
    await old.getByRole('button', { name: 'Show the nearest moments', exact: true }).click();
    await settled(old);
    assert.match(await said(old), /^What changed from /);
    assert.equal(await old.locator('.error').count(), 0);
    await old.goto(`${ended}#from=no-such-mark&tab=table`);
    await old.getByRole('button', { name: 'Show the nearest moments', exact: true }).click();
    await settled(old);
    await showsNow(old);
    await close(old);
  });

  await step('an address that changes before the page is drawn is followed', async () => {
    const early = await open(browser, 'about:blank', complaints);
    await early.addInitScript(() => addEventListener('DOMContentLoaded', () => (location.hash = 'from=connected&tab=table')));
    await early.goto(ended);
    await early.locator('.what', { hasText: /^What changed from / }).waitFor();
    await close(early);
  });

  await step('a difference with what shrank agrees with go tool pprof to the byte', async () => {
    // What clients held at the mark is gone, and the load has leaked since.
    const after = await open(browser, `${ended}#from=connected`, complaints);
    await after.locator('.what', { hasText: /^What changed from / }).waitFor({ state: 'attached' });
    await settled(after);
    const { ours } = await agreesWithPprof(after, 'inuse_space');
    const cums = [...ours.values()].map(([, cum]) => cum);
    assert.ok(cums.some((cum) => cum < 0) && cums.some((cum) => cum > 0), 'grew and shrank');
    assert.equal(await after.locator('.downloads a').count(), 2);
    await tab(after, 'Flame graph');
    await after.locator('.is-difference .box').nth(2).waitFor();
    await picture(after, 'page-difference', { width: 1280, height: 900 });
    await close(after);
  });
}
