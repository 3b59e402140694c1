// These steps narrow what is shown to one of the labels that the program gives, and make rows by them.

import assert from 'node:assert/strict';
import { close, fits, open } from './browser.mjs';
import { agreesWithPprof, cells, rows, settled, step, tab } from './page.mjs';

/** The demo's tenants are known by their addresses. */
const [FIRST, SECOND] = ['127.0.0.1', '127.0.0.2'];

const choose = (page, label) => page.locator('select[name=label]').selectOption(label);
const sum = (all) => all.reduce((sum, [, value]) => sum + value, 0);

/** `address` is that of a demo whose load goes on, `ended` that of one whose load has ended. */
export async function useLabels({ browser, address, ended, complaints }) {
  const page = await open(browser, `${ended}#tab=table&type=alloc_space`, complaints);
  await settled(page);
  await narrowToLabels({ browser, page, ended, complaints });
  await close(page);
  await keepLabel({ browser, address, complaints });
  await lookAtLabels({ browser, ended, complaints });
}

async function narrowToLabels({ browser, page, ended, complaints }) {
  await step('rows are of a label’s values, and their sum is all that was allocated', async () => {
    const whole = sum(await cells(page));
    await page.getByLabel('A row for each').selectOption('label:tenant');
    const tenants = await cells(page);
    assert.deepEqual(tenants.map(([name]) => name).sort(), [FIRST, SECOND, 'no tenant']);
    assert.equal(sum(tenants), whole);
    const of = Object.fromEntries(tenants);
    assert.ok(of[FIRST] > of[SECOND], JSON.stringify(of));
    assert.match(page.url(), /group=label%3Atenant/);
    await page.getByText('Samples, errors and ages are told of stacks with all their labels together').waitFor();
  });

  await step('one tenant alone agrees with go tool pprof -tagfocus, in all tabs, and is in the address', async () => {
    const of = Object.fromEntries(await cells(page));
    await choose(page, `tenant=${SECOND}`);
    await page.locator('.chip', { hasText: `only tenant ${SECOND}` }).waitFor();
    assert.deepEqual(await cells(page), [[SECOND, of[SECOND]]]);
    assert.match(await page.locator('.downloads code').textContent(), / -tagfocus='tenant=\^127\\\.0\\\.0\\\.2\$' /);
    await agreesWithPprof(page, 'alloc_space');
    const again = await open(browser, page.url(), complaints);
    await again.locator('.chip', { hasText: `only tenant ${SECOND}` }).waitFor();
    await close(again);
    await choose(page, 'tenant=');
    await page.locator('.chip', { hasText: 'only no tenant' }).waitFor();
    assert.match(await page.locator('.downloads code').textContent(), / -tagignore='\^\(tenant\):' /);
    await agreesWithPprof(page, 'alloc_space');
    await page.getByRole('button', { name: 'Leave: only no tenant' }).click();
    assert.equal(await page.locator('.chip').count(), 0);
  });

  await step('the past has no labels, which is said', async () => {
    const past = await open(browser, `${ended}#from=connected&tab=table&label=tenant%3D${FIRST}`, complaints);
    await past.getByText('Nothing that is shown has labels: the past is kept without them').waitFor();
    assert.equal(await past.locator('select[name=label]').count(), 0);
    await close(past);
  });
}

async function keepLabel({ browser, address, complaints }) {
  await step('a label is kept from the heap to CPU time, and narrows it', async () => {
    const busy = await open(browser, `${address}#tab=table&label=tenant%3D${FIRST}`, complaints);
    await busy.locator('.chip').waitFor();
    await busy.keyboard.press('c');
    await busy.locator('input[name=seconds]').fill('3');
    await busy.locator('input[name=hz]').fill('1000');
    await busy.getByRole('button', { name: 'Capture CPU time', exact: true }).click();
    await busy.locator('.what', { hasText: 'of CPU time in the' }).waitFor();
    await tab(busy, 'Table');
    assert.ok((await rows(busy, 'lines').count()) > 0);
    await agreesWithPprof(busy, 'cpu');
    await busy.getByRole('button', { name: `Leave: only tenant ${FIRST}` }).click();
    await tab(busy, 'Table');
    await busy.getByLabel('A row for each').selectOption('label:tenant');
    const names = (await cells(busy)).map(([name]) => name);
    assert.ok(names.includes(FIRST) && names.includes('no tenant'), names.join());
    await close(busy);
  });
}

async function lookAtLabels({ browser, ended, complaints }) {
  for (const [colorScheme, width, height] of [['light', 1280, 760], ['dark', 390, 900]]) {
    await step(`rows by label are accessible, ${colorScheme}, ${width} pixels wide`, async () => {
      const view = `#tab=table&group=label:tenant&label=tenant%3D${FIRST}`;
      const seen = await open(browser, `${ended}${view}`, complaints, { colorScheme, viewport: { width, height } });
      await settled(seen);
      await fits(seen, `labels, ${colorScheme}, ${width}`);
      await close(seen);
    });
  }
}
