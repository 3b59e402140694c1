// These steps use the page over time, from its address, with keys alone, and as those do who do not see it.

import assert from 'node:assert/strict';
import { close, fits, open } from './browser.mjs';
import { agreesWithPprof, boxes, picture, settled, step, tab, TABS } from './page.mjs';

/** The tabs that the documents show, each once. */
const PICTURES = {
  'Table, light': 'page-table',
  'Functions, light': 'page-functions',
  'Flame graph, dark': 'page-flame-dark',
};

/** The documents show so much of a table, because a file of 150 KiB has room for no more. */
const TABLE_PX = 640;

/** The steps need the mark `under-load`. */
export async function useIt({ browser, page, address, complaints }) {
  await pauseAndCopy({ browser, page, address, complaints });
  await askAndReturn({ browser, page, complaints });
  await useKeysAlone({ browser, address, complaints });
  await goOnBelow({ browser, address, complaints });
  await lookInSizes({ browser, address, complaints });
}

async function pauseAndCopy({ browser, page, address, complaints }) {
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

  await step('where the browser copies nothing, the command is selected', async () => {
    const refused = await open(browser, 'about:blank', complaints);
    await refused.addInitScript(() => {
      Object.defineProperty(navigator, 'clipboard', { value: undefined });
      document.execCommand = () => false;
    });
    await refused.goto(`${address}#tab=table`);
    await settled(refused);
    await refused.getByRole('button', { name: 'Copy', exact: true }).click();
    await refused.getByText('Selected: copy it with Ctrl+C.').waitFor();
    const selected = await refused.evaluate(() => getSelection().toString());
    assert.equal(selected, await refused.locator('.downloads code').textContent());
    await close(refused);
  });
}

async function askAndReturn({ browser, page, complaints }) {
  await step('whether resident memory is the program’s own is told, and malloc is asked on demand', async () => {
    let asked = 0;
    const count = (request) => (asked += request.url().includes('metrics') ? 1 : 0);
    page.on('request', count);
    await page.locator('.retention', { hasText: /Resident memory is|own blocks are/ }).waitFor();
    assert.equal(asked, 0);
    await page.getByRole('button', { name: 'Ask malloc', exact: true }).click();
    await page.getByText(/glibc has .* from the system: .* in blocks, .* free\./).waitFor();
    assert.equal(asked, 1);
    page.off('request', count);
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
}

async function useKeysAlone({ browser, address, complaints }) {
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
    await keyed.locator('table.lines').waitFor();
    await keyed.keyboard.press('/');
    await keyed.keyboard.type('reader');
    assert.equal(await keyed.getByRole('searchbox').inputValue(), 'reader');
    await close(keyed);
  });
}

async function goOnBelow({ browser, address, complaints }) {
  await step('where a key leads below the tabs, the next Tab goes on there', async () => {
    const keyed = await open(browser, `${address}#tab=suspects`, complaints);
    await keyed.getByRole('button', { name: 'Show in flame graph', exact: true }).first().press('Enter');
    await keyed.locator('.box.is-match[aria-selected=true]').waitFor();
    await keyed.keyboard.press('Tab');
    const focused = await keyed.evaluate(() => [document.activeElement.closest('#panel') !== null, document.activeElement.textContent]);
    assert.deepEqual(focused, [true, 'Only these']);
    await close(keyed);
  });
}

async function lookInSizes({ browser, address, complaints }) {
  // A difference has other colours than a moment, and both are looked at.
  for (const [colorScheme, width, height, view] of [
    ['light', 1280, 760, '#from=under-load'],
    ['dark', 1280, 760, ''],
    ['dark', 400, 900, '#from=under-load'],
    ['light', 390, 900, ''],
  ]) {
    await step(`every tab is accessible, ${colorScheme}, ${width} pixels wide`, async () => {
      const seen = await open(browser, `${address}${view}`, complaints, { colorScheme, viewport: { width, height } });
      await seen.locator('.timeline').waitFor();
      for (const name of TABS) {
        await tab(seen, name);
        await settled(seen);
        await fits(seen, `${name}, ${colorScheme}, ${width}`);
        if (name === 'Flame graph') await boxes(seen).filter({ hasText: 'Reader::start' }).first().hover();
        const shown = PICTURES[`${name}, ${width < 1280 ? 'narrow' : colorScheme}`];
        if (shown) await picture(seen, shown, { width, height: ['Table', 'Functions'].includes(name) ? TABLE_PX : height });
      }
      await close(seen);
    });
  }
}

/** Takes the picture of a leak, whose verdict takes minutes. */
export async function pictureLeak({ browser, address, complaints }) {
  for (const [name, width, height] of [['page-suspects', 1280, 760], ['page-narrow', 400, 1100]]) {
    const seen = await open(browser, `${address}#tab=suspects`, complaints, { viewport: { width, height } });
    await seen.locator('.suspect.is-leak').first().waitFor({ timeout: 240_000 });
    await picture(seen, name, { width, height });
    await close(seen);
  }
}
