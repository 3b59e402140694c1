// These steps ask servers that have something else to say: losses, strange names, no scripts, a token.

import assert from 'node:assert/strict';
import { accessibility, close, open } from './browser.mjs';
import { start } from './demo.mjs';
import { LEAK, said, settled, step, tab, TABS } from './page.mjs';

const TOKEN = '0123456789abcdef0123456789abcdef';

/** `address` is that of a demo, and `binary` its program. */
export async function askOtherServers({ browser, address, binary, complaints }) {
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
    // The notes on how sure the profile is, and on what it costs, are no losses.
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
}
