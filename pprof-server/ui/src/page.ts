// What each of the four pages is given: the heap, CPU time, threads and tasks, and waits for locks.

import type { RefObject } from 'preact';
import type { Owners } from './plumbing';
import type { Tab, View } from './view';

export interface Page {
  readonly view: View;
  /** The tab that is shown. */
  readonly tab: Tab;
  readonly owners: Owners;
  readonly searchBox: RefObject<HTMLInputElement | null>;
  /** When the page was saved, in seconds since 1970 UTC; `null` if the program is asked. */
  readonly savedAt: number | null;
  readonly onChange: (part: Partial<View>) => void;
}

/** What a part of a page needs that shows stacks. */
export type OfStacks = Pick<Page, 'view' | 'owners' | 'onChange'>;

/** What a part of a page needs that changes the view. */
export type Choosing = Pick<Page, 'view' | 'onChange'>;
