// This saves the page with what it shows as one file, which works without the program, and without a network.
//
// The file is the page's own script and style, and beside them the very answers that the view was made from. The script finds
// them where it begins.

import type { History, Leaks } from './answers';
import type { Detail } from './lines';
import { decode, difference } from './profile';
import { CPU_TYPES, GOROUTINE_TYPES, LOCK_TYPES, SAMPLE_TYPES, type Types } from './sample_type';
import { address } from './server';
import type { File, Shown } from './shown';
import type { Source } from './source';
import type { Subject } from './view';

const TYPES_OF: Record<Subject, Types> = { heap: SAMPLE_TYPES, cpu: CPU_TYPES, threads: GOROUTINE_TYPES, locks: LOCK_TYPES };

/** The element that has the answers in it. */
const ID = 'kept';

interface KeptFile extends Omit<File, 'bytes'> {
  readonly base64: string;
}

/** A `Shown` as JSON has it. */
interface KeptShown extends Omit<Shown, 'profile' | 'before' | 'after' | 'details' | 'suspicions'> {
  readonly durationSeconds: number;
  readonly before: KeptFile | null;
  readonly after: KeptFile;
  readonly details: readonly [string, Detail][];
}

export interface Kept {
  readonly savedAt: number;
  /** The fragment of the view's address. */
  readonly fragment: string;
  /** What `shown` is a profile of. */
  readonly subject: Subject;
  readonly history: History;
  readonly leaks: Leaks | null;
  readonly shown: KeptShown;
}

/** Makes the file. */
export async function page(
  fragment: string,
  subject: Subject,
  history: History,
  leaks: Leaks | null,
  shown: Shown,
): Promise<string> {
  const text = async (file: string) => (await fetch(address(file), { credentials: 'same-origin' })).text();
  const [script, style] = await Promise.all([text('ui.js'), text('ui.css')]);
  const { profile, before, after, details, suspicions: _, ...rest } = shown;
  const kept: Kept = {
    savedAt: Date.now() / 1000,
    fragment,
    subject,
    history,
    leaks,
    shown: {
      ...rest,
      durationSeconds: profile.durationSeconds,
      before: before && keep(before),
      after: keep(after),
      details: [...details],
    },
  };
  return documentOf(script, style, kept);
}

/** The file's text. Nothing in it may ask for anything else, and no text of the program's ends an element. */
export function documentOf(script: string, style: string, kept: Kept): string {
  const policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:";
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>heap</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<div id="app"></div>
<script type="application/json" id="${ID}">${JSON.stringify(kept).replaceAll('<', '\\u003c')}</script>
<script>${script.replaceAll('</script', '<\\/script')}</script>
</body>
</html>
`;
}

/** Returns what was kept in this page; `null` if the program serves it. */
export function keptIn(document: Document): Kept | null {
  const element = document.getElementById(ID);
  return element && (JSON.parse(element.textContent ?? '') as Kept);
}

/** Returns what a page that was saved shows. */
export function sourceOf({ savedAt, subject, history, leaks, shown }: Kept): Source {
  const revived = revive(shown, subject);
  return {
    savedAt,
    history: async () => history,
    leaks: async () => leaks,
    fetchView: () => revived,
    fetchThreads: () => revived,
    keptCpu: async () => (subject === 'cpu' ? revived : null),
    keptWaits: async () => (subject === 'locks' ? revived : null),
  };
}

async function revive({ before, after, details, durationSeconds, ...rest }: KeptShown, subject: Subject): Promise<Shown> {
  const files = { before: before && revived(before), after: revived(after) };
  const profile = await decode(files.after.bytes, TYPES_OF[subject]);
  const changed = files.before ? difference(await decode(files.before.bytes), profile) : profile;
  return { ...rest, ...files, profile: { ...changed, durationSeconds }, details: new Map(details), suspicions: new Map() };
}

function keep({ bytes, ...file }: File): KeptFile {
  return { ...file, base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) };
}

function revived({ base64, ...file }: KeptFile): File {
  return { ...file, bytes: Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)) };
}
