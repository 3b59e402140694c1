// The file that the page is saved as.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { History } from '../src/answers';
import { documentOf, keptIn, sourceOf, type Kept } from '../src/kept';
import { profileOf } from './profile_of';

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const file = (name: string, value: number) => ({
  name,
  seconds: 7,
  base64: base64(profileOf([{ stack: ['main', 'f'], values: [1, value, 1, value] }])),
});
const rest = { isDifference: true, isCapture: false, isSinceFile: false, isPartial: false, untold: 0, notes: ['</script><img src=x>'] };
const kept: Kept = {
  savedAt: 1,
  fragment: 'tab=flame',
  subject: 'heap',
  history: { instance: '<!--<script>' } as History,
  leaks: null,
  shown: { ...rest, durationSeconds: 60, before: file('a', 10), after: file('b', 25), details: [['key', { samples: 3, errors: null, age: null }]] },
};

test('no text of the program ends an element of the saved page, and nothing in it may ask a server', () => {
  const html = documentOf("'</script>'", 'a {}', kept);
  assert.equal(html.match(/<\/script/g)!.length, 2);
  assert.doesNotMatch(html, /<img|<!--/);
  assert.match(html, /content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"/);
});

test('a saved page finds in itself what it shows', async () => {
  const [, json] = /<script type="application\/json" id="kept">(.*)<\/script>/.exec(documentOf('', '', kept))!;
  const found = keptIn({ getElementById: () => ({ textContent: json }) } as unknown as Document)!;
  assert.deepEqual(found, kept);
  const source = sourceOf(found);
  const signal = new AbortController().signal;
  assert.deepEqual(await source.history(signal), kept.history);
  const shown = await source.fetchView({} as never, signal);
  assert.deepEqual(shown.profile.stacks.map(({ values }) => values), [[0, 15, 0, 15]]);
  assert.deepEqual([shown.profile.durationSeconds, shown.details.get('key')?.samples, shown.before?.name], [60, 3, 'a']);
  assert.equal(keptIn({ getElementById: () => null } as unknown as Document), null);
});
