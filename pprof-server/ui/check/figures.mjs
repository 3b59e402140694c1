// These steps compare the figures of the page with those of `go tool pprof`: of a moment, of a capture, and of a difference.

import assert from 'node:assert/strict';
import { close, open } from './browser.mjs';
import { agreesWithPprof, LEAK, picture, said, settled, step, tab } from './page.mjs';

/** `ended` is the address of a demo whose load has ended. */
export async function compareFigures({ browser, page, ended, complaints }) {
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
    // The difference goes from the middle of the load, by what had been allocated, to now, when what its connections held is gone.
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
    await picture(after, 'page-difference', { width: 1280, height: 900 });
    await close(after);
  });
}
