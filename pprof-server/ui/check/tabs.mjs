// These steps look at what the page shows, and click everything that can be clicked.

import assert from 'node:assert/strict';
import { boxes, LEAK, rows, said, settled, step, tab } from './page.mjs';

/** The steps need a `page` over a demo whose load goes on. They leave the mark `under-load` behind. */
export async function clickEverything({ page, complaints }) {
  await comeUp({ page });
  await useSuspects({ page });
  await chooseMoments({ page, complaints });
  await useTableAndFlame({ page });
}

async function comeUp({ page }) {
  const began = Date.now();
  await step('the page comes up with its key facts, and with the list of profiles', async () => {
    await page.getByText('In use', { exact: true }).waitFor();
    await page.getByRole('heading', { name: /^Heap demo-/ }).waitFor();
    await page.locator('#profiles summary').click();
    assert.equal(await page.locator('#profiles table tr').count(), 4);
    for (const name of ['leaks', 'history', 'mark', 'metrics']) assert.equal(await page.locator(`#profiles a[href="${name}"]`).count(), 1, name);
    await page.locator('#profiles summary').click();
  });

  await step('while it is too early that is said, and the leaking line is the first suspect within a minute', async () => {
    await tab(page, 'Suspects');
    await page.locator('.what', { hasText: /^Too early: the first verdict comes in about / }).waitFor();
    const first = page.locator('.suspect').first();
    await page.locator('.what', { hasText: /^What grew in the last / }).waitFor({ timeout: 60_000 - (Date.now() - began) });
    await first.filter({ hasText: LEAK }).and(page.locator('.is-leak, .is-growing')).waitFor();
    assert.match(await first.locator('.file').first().textContent(), /demo-leak\/src\/reader\.rs:\d+/);
    const figures = await first.locator('.figures').textContent();
    assert.match(figures, /grew\+\d.* ± \d.* in \d.* s; growing since \d\d:\d\d:\d\d/);
    assert.match(figures, /rate\+\d.*iB\/min ± /);
    assert.match(figures, /sure(chance of error < 1 in|this may be chance)/);
    assert.match(await first.locator('.course figcaption').textContent(), /^\d\d:\d\d:\d\dto \d.*iB\d\d:\d\d:\d\d$/);
  });
}

async function useSuspects({ page }) {
  await step('what each kind means and what to do next stands below, in the words of the server', async () => {
    const { kinds } = await page.evaluate(async () => (await fetch('leaks?format=json')).json());
    await page.getByText('What the kinds mean, and what to do next').click();
    const told = await page.locator('.kinds tbody tr').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));
    assert.deepEqual(told, kinds.map(({ title, meaning, next_step }) => [title, meaning, next_step]));
  });

  await step('a suspect is shown in the flame graph and in the table', async () => {
    await page.getByRole('button', { name: 'Show in flame graph', exact: true }).first().click();
    const box = page.locator('.box.is-match[aria-selected=true]');
    await box.waitFor();
    await settled(page);
    assert.match(await box.getAttribute('aria-label'), new RegExp(`^${LEAK}`));
    const [{ y, height }, view] = [await box.boundingBox(), page.viewportSize()];
    assert.ok(y > 0 && y + height < view.height, `the box is at ${y} of ${view.height}`);
    assert.match(await page.locator('.found').textContent(), /iB \(\d+\.\d %\) on \d+ of \d+ stacks/);
    await tab(page, 'Suspects');
    await page.getByRole('button', { name: 'Show in table', exact: true }).first().click();
    assert.ok((await rows(page, 'lines').count()) > 0);
    await page.getByRole('searchbox').fill('');
  });
}

async function chooseMoments({ page, complaints }) {
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
    await page.getByText('There is a mark under-load already.').waitFor();
    await page.getByRole('button', { name: 'Replace mark', exact: true }).click();
    await page.getByText('Marked as under-load.').waitFor();
    // The answer that the name is taken is one that the browser notes as a failure.
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
}

async function useTableAndFlame({ page }) {
  await step('the table sorts, opens a stack, and finds', async () => {
    await tab(page, 'Table');
    await page.getByRole('button', { name: 'Δ objects', exact: true }).click();
    assert.equal(await page.locator('th[aria-sort=descending]').textContent(), 'Δ objects ▼');
    const values = await page.locator('table.lines tbody tr td:nth-child(4)').evaluateAll((cells) => cells.map((cell) => Number(cell.dataset.value)));
    assert.deepEqual(values, values.toSorted((a, b) => b - a));
    await page.getByRole('button', { name: 'Δ in use', exact: true }).click();
    await rows(page, 'lines').filter({ hasText: LEAK }).first().getByRole('button').first().click();
    const opened = page.locator('tr:is(.is-open, .of-line)');
    await opened.locator('li .function', { hasText: 'demo_leak::proxy' }).first().waitFor();
    assert.match(await opened.locator('li.hidden').first().textContent(), /^\d+ frames left out$/);
    assert.match(page.url(), /open=\w+/);
    await page.getByRole('searchbox').fill('READER.rs');
    const found = await rows(page, 'lines').count();
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
    await page.getByLabel('Callers below').check();
    assert.equal(await page.locator('.box').nth(1).getAttribute('aria-label').then((label) => label.startsWith(LEAK)), true);
    await page.getByLabel('Callers below').uncheck();
    await page.getByLabel('Hide std').uncheck();
    await settled(page);
    await page.locator('.box.is-std').nth(1).waitFor();
    await page.getByLabel('Hide std').check();
    await settled(page);
    await page.getByRole('searchbox').fill('');
  });
}
