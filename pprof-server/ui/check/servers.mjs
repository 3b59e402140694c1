// These steps ask servers that have something else to say: losses, strange names, no scripts, a token.

import assert from 'node:assert/strict';
import { gunzipSync, gzipSync } from 'node:zlib';
import { accessibility, close, open } from './browser.mjs';
import { endLast, start } from './demo.mjs';
import { LEAK, settled, showsNow, step, tab, TABS } from './page.mjs';

const TOKEN = '0123456789abcdef0123456789abcdef';

/** `address` is that of a demo, and `binary` its program. */
export async function askOtherServers({ browser, address, binary, complaints }) {
  await tellLosses({ browser, address, complaints });
  await showStrangeNames({ browser, address, complaints });
  await startOthers({ browser, binary, complaints });
}

async function tellLosses({ browser, address, complaints }) {
  await step('a limit, losses, and missing names are told', async () => {
    const seen = await open(browser, 'about:blank', complaints);
    await seen.route('**/history', async (route) => {
      const history = await (await route.fetch()).json();
      const limit = (of) => ({ ...of, memory_limit_bytes: 256 << 20, memory_usage_bytes: 200 << 20 });
      const { points } = history;
      const all = (bytes) => points.time_seconds.map(() => bytes);
      const told = { now: limit(history.now), records: history.records.map(limit), symbols: 'The file is stripped.' };
      const limited = { ...points, memory_limit_bytes: all(256 << 20), memory_usage_bytes: all(200 << 20) };
      await route.fulfill({ json: { ...history, ...told, points: limited } });
    });
    await seen.route('**/leaks?*', async (route) => {
      const leaks = await (await route.fetch()).json();
      await route.fulfill({ json: { ...leaks, suspects: leaks.suspects.map((suspect) => ({ ...suspect, full_in_seconds: 10_800 })) } });
    });
    const lost = '7 samples (0.1 % of those taken) are missing from what is in use.';
    await seen.route('**/heap?*format=json*', async (route) => {
      const table = await (await route.fetch()).json();
      await route.fulfill({ json: { ...table, notes: [...table.notes, lost] } });
    });
    await seen.goto(address);
    await seen.locator('.key.limit').waitFor();
    assert.match(await seen.locator('.facts').textContent(), /Of the limit78\.1 %200 MiB of 256 MiB/);
    assert.match(await seen.locator('.reading').textContent(), / · control group 200 MiB · limit 256 MiB · /);
    await seen.locator('.suspect').first().getByText('full in about 3.0 h').waitFor();
    // The notes on how sure the profile is, and on what it costs, are no losses.
    await settled(seen);
    for (const name of TABS) {
      await tab(seen, name);
      assert.deepEqual(await seen.locator('.losses li').allTextContents(), [lost], name);
    }
    await seen.getByText('The file is stripped.').waitFor();
    await accessibility(seen, 'with a limit');
    await close(seen);
  });
}

async function showStrangeNames({ browser, address, complaints }) {
  await step('names are text, whatever is in them', async () => {
    // It is as long as the name that it replaces, so it fits where a profile has that.
    const evil = '<img src=x onerror="alert(1)" a>';
    assert.equal(evil.length, LEAK.length);
    const seen = await open(browser, 'about:blank', complaints);
    await seen.route('**/leaks?*', async (route) => {
      const text = await (await route.fetch()).text();
      await route.fulfill({ contentType: 'application/json', body: text.replaceAll(LEAK, JSON.stringify(evil).slice(1, -1)) });
    });
    await seen.route('**/heap', async (route) => {
      const profile = gunzipSync(await (await route.fetch()).body()).toString('latin1');
      await route.fulfill({ body: gzipSync(Buffer.from(profile.replaceAll(LEAK, evil), 'latin1')) });
    });
    await seen.goto(address);
    await seen.locator('.suspect', { hasText: evil }).first().waitFor();
    await tab(seen, 'Table');
    await seen.locator('table.lines th', { hasText: evil }).first().waitFor();
    await tab(seen, 'Flame graph');
    await seen.getByRole('treeitem', { name: evil }).first().waitFor();
    assert.equal(await seen.title(), 'demo-leak – heap');
    assert.equal(await seen.locator('img').count(), 0);
    await close(seen);
  });

  await step('without scripts there is the list of profiles', async () => {
    const plain = await open(browser, address, complaints, { javaScriptEnabled: false });
    assert.ok(await plain.getByRole('link', { name: 'heap', exact: true }).isVisible());
    await close(plain);
  });
}

async function startOthers({ browser, binary, complaints }) {
  await step('a restart of the program is told, and what is shown is of the new one', async () => {
    const options = ['--idle-seconds', '0', '--load-seconds', '3600'];
    const first = await start(binary, options, { PPROF_RECORD: '1s' });
    // While nobody answers, the browser's console says so.
    const meanwhile = [];
    const seen = await open(browser, `${first}#tab=table`, meanwhile);
    await seen.getByText(/^As of /).waitFor();
    await seen.getByLabel('Mark', { exact: true }).fill('former');
    await seen.getByRole('button', { name: 'Mark now', exact: true }).click();
    await seen.locator('select[name=from]').selectOption('former');
    await settled(seen);
    await endLast();
    await seen.getByText('The program does not answer').first().waitFor();
    const second = await start(binary, options, { PPROF_RECORD: '1s', PPROF_ADDR: new URL(first).host });
    assert.equal(second, first);
    await seen.getByText(/^Restarted at \d\d:\d\d:\d\d; the record begins anew\.$/).waitFor();
    await settled(seen);
    await showsNow(seen);
    assert.equal(await seen.locator('.error').count(), 0);
    assert.deepEqual(meanwhile.filter((complaint) => !/ERR_|Failed to load/.test(complaint)), []);
    await close(seen);
  });

  await step('with a token, and with the recorder off, it works too', async () => {
    const quiet = await start(binary, ['--idle-seconds', '0', '--load-seconds', '0'], { PPROF_TOKEN: TOKEN, PPROF_RECORD: 'off' });
    const seen = await open(browser, quiet, complaints, { httpCredentials: { username: 'pprof', password: TOKEN } });
    await seen.getByText('The recorder is off').waitFor();
    await settled(seen);
    await showsNow(seen);
    await seen.getByLabel('Capture the next').fill('1');
    await seen.getByRole('button', { name: 'Capture', exact: true }).click();
    await seen.getByText(/^What changed in the [1-9]\.\d s until/).waitFor();
    await accessibility(seen, 'recorder off');
    await close(seen);
  });
}
