// This makes the command that shows the same in `go tool pprof`: it has the same files and the same value, and leaves out the
// same functions.

import type { SampleType } from './sample_type';
import type { Tab } from './view';

export interface Commanded {
  readonly before: string | null;
  readonly after: string;
  readonly type: SampleType;
  readonly tab: Tab;
  /** The expression by which functions are left out. With `null`, all are shown. */
  readonly plumbing: string | null;
}

export function command({ before, after, type, tab, plumbing }: Commanded): string {
  return [
    'go tool pprof',
    tab === 'flame' ? '-http=:' : '-top -cum',
    `-sample_index=${type}`,
    plumbing !== null && `-hide=${quoted(plumbing)}`,
    before && `-diff_base=${quoted(before)}`,
    quoted(after),
  ]
    .filter(Boolean)
    .join(' ');
}

/** Returns `text` as the shell has to read it. */
function quoted(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
