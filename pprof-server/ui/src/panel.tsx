// This is what is below the tabs of the heap: what is shown in words, what is missing, and the tab.

import { About } from './about';
import type { History, Holders, Leaks, Suspect } from './answers';
import type { Asked } from './asked';
import { HolderTree } from './holder_tree';
import { Losses } from './notes';
import type { Page } from './page';
import { droppedInWords, ProfileTabs, useLeft } from './profile_tabs';
import type { Request } from './request';
import type { Shown } from './shown';
import { Suspects } from './suspects';
import { clock, duration } from './units';
import { isOfProfile, type View } from './view';

interface Props extends Omit<Page, 'searchBox' | 'savedAt'> {
  readonly request: Request;
  readonly history: History;
  readonly leaks: Leaks | null;
  readonly holders: Asked<Holders>;
  /** Whether the server has said whether it suspects anything. */
  readonly isLeaksKnown: boolean;
  /** Whether the program is asked, and can be asked anew. */
  readonly isLive: boolean;
  readonly onShow: (suspect: Suspect, tab: 'flame' | 'table') => void;
  /** Shows the threads and tasks on whose stacks a function is. */
  readonly onShowTasks: (name: string) => void;
  /** Shows the recorded moments that are nearest to those of the view. */
  readonly onNearest: () => void;
}

export function Panel(props: Props) {
  const { view, tab, request, history, leaks, isLeaksKnown, holders, owners, isLive, onChange, onShow, onShowTasks, onNearest } = props;
  const { current, isLoading, error, isGone } = request;
  const isProfile = isOfProfile(tab);
  const holding = isLive ? { asked: holders, onShow: (held: string) => onChange({ tab: 'holders', held }) } : null;
  const left = useLeft(current, view, owners);
  return (
    <section role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`} aria-busy={isLoading} tabIndex={-1}>
      <p class="what" role="status" hidden={!isProfile}>
        {error ? '' : current ? inWordsOf(current, view, isLive) : 'Fetching the profile…'}
        {current && left && droppedInWords(left, current, view)}
        {isLoading && current && !error ? ' Fetching…' : ''}
      </p>
      {error && (
        <p class="error" role="alert">
          {isGone ? goneWords(history) : error}{' '}
          {isGone && (
            <button type="button" onClick={onNearest}>
              {history.records.length > 0 ? 'Show the nearest moments' : 'Show all in use'}
            </button>
          )}
        </p>
      )}
      <Losses notes={current?.notes ?? []} />
      {tab === 'suspects' && (
        <Suspects told={current?.notes ?? []} isKnown={isLeaksKnown} hides={view.hides} {...{ leaks, owners, holding, onShow, onShowTasks }} />
      )}
      {isProfile && <ProfileTabs shown={current} {...{ left, tab, view, owners, holding, onChange }} />}
      {tab === 'holders' && <HolderTree asked={holders} {...{ view, isLive, onChange }} />}
      {tab === 'about' && <About history={history} notes={current?.notes ?? []} />}
    </section>
  );
}

/** Says which moments are recorded. */
function goneWords({ records: [first] }: History): string {
  if (!first) return 'This moment is not recorded: nothing is.';
  return `This moment is not recorded, or not any more: the records reach back to ${clock(first.time_nanos / 1e9)}.`;
}

/** Says in words what is shown below. */
function inWordsOf({ before, after, profile, isCapture, isSinceFile }: Shown, view: View, isLive: boolean): string {
  const at = clock(after.seconds);
  const lasting = duration(profile.durationSeconds);
  if (isCapture) return `What changed in the ${lasting} until ${at}.`;
  if (before && isSinceFile) return `What changed from ${before.name} (${clock(before.seconds)}) to ${at}.`;
  if (before) {
    const isGone = view.capture && ' The page that captured it has the exact figures; these are of the nearest records.';
    return `What changed from ${clock(before.seconds)} to ${at}, ${lasting} later.${isGone ?? ''}`;
  }
  const isOld = view.minAge > 0 ? ` Only what is at least ${duration(view.minAge)} old counts as in use.` : '';
  return `${view.to === null ? 'As of' : 'At'} ${at}.${view.to === null && isLive ? ' Refresh takes it anew.' : ''}${isOld}`;
}
