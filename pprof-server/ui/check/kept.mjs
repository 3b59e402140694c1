// These steps save what the page shows: as one file that needs neither the program nor a network, and as a picture.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { accessibility, close, open } from './browser.mjs';
import { agreesWithPprof, boxes, downloaded, labels, LEAK, said, settled, step, tab } from './page.mjs';

/** `address` is that of a demo with the mark `under-load`. */
export async function keepIt({ browser, address, complaints }) {
  await step('a page saved as HTML shows the same difference without the program', async () => {
    const seen = await open(browser, `${address}#from=under-load&tab=flame`, complaints);
    await boxes(seen).nth(1).waitFor();
    await settled(seen);
    const { ours } = await agreesWithPprof(seen, 'inuse_space');
    await tab(seen, 'Flame graph');
    await seen.getByRole('searchbox').fill('reader');
    const file = await downloaded(seen, 'Save as HTML');
    assert.match(file, /demo-leak-\d{8}-\d{6}\.html$/);
    const told = [await said(seen), await labels(seen)];
    await close(seen);

    const kept = await open(browser, pathToFileURL(file).href, complaints);
    await boxes(kept).nth(1).waitFor();
    await settled(kept);
    assert.deepEqual([await said(kept), await labels(kept)], told);
    await kept.getByText(/^Saved at .* need the program\.$/).waitFor();
    assert.equal(await kept.getByRole('searchbox').inputValue(), 'reader');
    await kept.getByRole('searchbox').fill('');
    assert.deepEqual((await agreesWithPprof(kept, 'inuse_space')).ours, ours);
    await kept.getByLabel('Value').selectOption('alloc_space');
    await tab(kept, 'Table');
    await kept.locator('table.lines th', { hasText: LEAK }).first().waitFor();
    for (const name of ['Refresh', 'Capture', 'Mark now', 'Save as HTML', 'Ask malloc']) {
      assert.equal(await kept.getByRole('button', { name, exact: true }).count(), 0, name);
    }
    await accessibility(kept, 'saved page');
    await close(kept);
  });

  await step('a flame graph saved as SVG is a picture that says what each box is', async () => {
    const seen = await open(browser, `${address}#from=under-load&tab=flame`, complaints);
    await boxes(seen).nth(1).waitFor();
    await settled(seen);
    const told = await labels(seen);
    const svg = readFileSync(await downloaded(seen, 'Save as SVG'), 'utf8');
    await close(seen);
    const titles = await (await openSvg(browser, svg, complaints)).evaluate(() =>
      [...document.querySelectorAll('title')].map((title) => title.textContent),
    );
    assert.deepEqual(titles, told);
    assert.match(svg, /<rect [^>]*fill="#[0-9a-f]{6}"/);
  });
}

/** Opens a picture by itself, which fails where it is no XML. */
async function openSvg(browser, svg, complaints) {
  return open(browser, `data:image/svg+xml,${encodeURIComponent(svg)}`, complaints);
}
