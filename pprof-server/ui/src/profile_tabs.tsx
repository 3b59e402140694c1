// These are the tabs that every profile has: the table, the functions and the flame graph of what is left of it.

import { useMemo } from 'preact/hooks';
import { finds, foundIn, labelsIn, narrow } from './filter';
import { Narrowed, SearchResult } from './filters';
import { Flame } from './flame';
import { FunctionTable } from './functions';
import type { Holding } from './held_by';
import type { Page } from './page';
import { hide, type Owners } from './plumbing';
import { indexOf, total, type Profile, type Values } from './profile';
import { format } from './sample_type';
import type { Shown } from './shown';
import { LineTable } from './table';
import { FOUND, type View } from './view';

/** What is left of a profile when stacks and functions are left out. */
export interface Left {
  readonly profile: Profile;
  /** The sums of the stacks on which nothing else was; `null` if no functions are left out. */
  readonly dropped: Values | null;
}

interface Props extends Omit<Page, 'searchBox' | 'savedAt'> {
  readonly shown: Shown | null;
  readonly left: Left | null;
  /** How rows say who holds their blocks; `null` where they have none, or the program cannot be asked. */
  readonly holding?: Holding | null;
}

export function ProfileTabs({ shown, left, tab, view, owners, holding = null, onChange }: Props) {
  const isMatch = useMemo(() => finds(view.search), [view.search]);
  const found = useMemo(() => left && view.search.trim() && foundIn(left.profile, isMatch), [left, isMatch]);
  if (!shown || !left) return <Narrowed view={view} onChange={onChange} />;
  const { profile } = left;
  const { isDifference } = shown;
  const index = indexOf(profile, view.type);
  return (
    <>
      <Narrowed view={view} onChange={onChange} />
      {view.labels.length > 0 && labelsIn(shown.profile, index).size === 0 && (
        <p class="note">Nothing that is shown has labels: the past is kept without them, and the heap has them if the program switches that on.</p>
      )}
      {found && (
        <SearchResult
          view={view}
          found={found}
          value={found.values[index]!}
          whole={{ stacks: profile.stacks.length, value: wholeOf(profile, index, isDifference) }}
          isDifference={isDifference}
          onChange={onChange}
        />
      )}
      {tab === 'table' && <LineTable key={view.type} {...{ shown, profile, view, owners, holding, onChange }} />}
      {tab === 'functions' && (
        <FunctionTable
          type={view.type}
          search={view.search}
          onFind={(name) => onChange({ tab: 'flame', search: name, zoom: FOUND })}
          {...{ profile, isDifference }}
        />
      )}
      {tab === 'flame' && <Flame {...{ profile, isDifference, view, owners, onChange }} />}
    </>
  );
}

/** Returns what is left of a profile when stacks and functions are left out. */
export function useLeft(current: Shown | null, { focus, ignore, thread, kind, labels, hides }: View, owners: Owners): Left | null {
  const narrowed = useMemo(
    () => current && narrow(current.profile, { focus, ignore, thread, kind, labels }),
    [current, focus, ignore.join('\n'), thread, kind, labels.join('\n')],
  );
  return useMemo(() => {
    const hidden = owners.hidden(hides);
    return narrowed && (hidden ? hide(narrowed, hidden) : { profile: narrowed, dropped: null });
  }, [narrowed, owners, hides]);
}

/** Returns what shares are shares of: in a difference, all that changed. */
function wholeOf(profile: Shown['profile'], index: number, isDifference: boolean): number {
  if (!isDifference) return total(profile)[index]!;
  return profile.stacks.reduce((sum, { values }) => sum + Math.abs(values[index]!), 0);
}

/** Says how much is on stacks that are not shown; nothing if all are. */
export function droppedInWords({ profile, dropped }: Left, { isDifference }: Shown, { type }: View): string {
  const value = dropped?.[indexOf(profile, type)] ?? 0;
  return value === 0 ? '' : ` Not shown, for nothing else is on their stacks: ${format(type, value, isDifference)}.`;
}
