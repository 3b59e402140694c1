// The command that shows the same in `go tool pprof`: same files, same value, same functions left out.

import { PLUMBING } from './hide';
import type { SampleType } from './sample_type';
import type { Tab } from './view';

export interface Commanded {
  readonly before: string | null;
  readonly after: string;
  readonly type: SampleType;
  readonly tab: Tab;
  readonly hidesStd: boolean;
}

export function command({ before, after, type, tab, hidesStd }: Commanded): string {
  return [
    'go tool pprof',
    tab === 'flame' ? '-http=:' : '-top -cum',
    `-sample_index=${type}`,
    hidesStd && `-hide=${quoted(PLUMBING)}`,
    before && `-diff_base=${quoted(before)}`,
    quoted(after),
  ]
    .filter(Boolean)
    .join(' ');
}

/** For the shell. */
function quoted(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
