// This opens a page in headless Chromium and watches it: errors on its console, requests to other hosts, and accessibility.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

const DIST = fileURLToPath(new URL('../dist', import.meta.url));

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** Opens `address` in a context of its own. `complaints` gathers what must not happen. */
export async function open(browser, address, complaints, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(60_000);
  if (process.env.FRESH) {
    for (const name of ['ui.js', 'ui.css']) await context.route(`**/${name}`, (route) => route.fulfill({ path: join(DIST, name) }));
  }
  const page = await context.newPage();
  page.on('request', (request) => {
    const url = new URL(request.url());
    const isOurs = url.hostname === '127.0.0.1' || ['data:', 'blob:', 'about:', 'file:'].includes(url.protocol);
    if (!isOurs) complaints.push(`request to another host: ${request.url()}`);
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.stack}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('response', (answer) => {
    if (answer.status() >= 400) complaints.push(`status ${answer.status()}: ${answer.url()}`);
  });
  await page.goto(address);
  return page;
}

/** Ends a page and its context. The page asks on by itself, so a handler of `route` may be fetching when this is called, and
 * its fetch then fails: that is no complaint. Without this, the unhandled rejection would end the whole run. */
export async function close(page) {
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.context().close();
}

/** Fails with what axe finds wrong. The script of axe is evaluated, because the page's policy forbids to put it in. */
export async function accessibility(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const said = violations.flatMap(({ id, help, nodes }) =>
    nodes.slice(0, 3).map(({ html, failureSummary }) => `${where}: ${id}: ${help}\n  ${html.slice(0, 200)}\n  ${failureSummary}`),
  );
  assert.deepEqual(said, []);
}

/** Fails with what axe finds wrong, and if the page is wider than its window. */
export async function fits(page, where) {
  await accessibility(page, where);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `${where}: ${overflow} pixels stick out`);
}
