// Threads and tasks: where each waits or what it runs, grouped by the line of the program's own, what grows first.

import { useMemo } from 'preact/hooks';
import type { Leaks, Profile as LeakedTasks } from './answers';
import type { Asked } from './asked';
import { Filters } from './filters';
import type { Detail } from './lines';
import { Leaked } from './leaked_tasks';
import { Losses } from './notes';
import type { Choosing, Page } from './page';
import { sumOf, type Stack } from './profile';
import { droppedInWords, ProfileTabs, useLeft } from './profile_tabs';
import type { Shown } from './shown';
import { suspicionsOf } from './suspicions';
import { Tabs } from './tabs';
import type { ThreadsRequest } from './threads_request';
import { clock, count, things } from './units';
import { KINDS, TABS_OF, type Kind } from './view';

interface Props extends Page {
  readonly threads: ThreadsRequest;
  readonly leaks: Leaks | null;
  readonly leaked: Asked<LeakedTasks>;
}

export function Threads({ view, tab, threads, leaks, leaked, owners, searchBox, savedAt, onChange }: Props) {
  const { current: fetched, isLoading, error } = threads;
  const current = useMemo(() => fetched && { ...fetched, suspicions: suspicionsOf(leaks) }, [fetched, leaks]);
  const left = useLeft(current, view, owners);
  const said = useMemo(() => current && inWordsOf(current), [current]);
  return (
    <>
      {savedAt !== null && <p class="note">Saved at {clock(savedAt)}: another look at them needs the program.</p>}
      <Filters shown={current} {...{ view, searchBox, onChange }}>
        <KindFilter {...{ view, onChange }} />
      </Filters>
      <Tabs tabs={TABS_OF.threads} tab={tab} onChange={(tab) => onChange({ tab })} />
      <section role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`} aria-busy={isLoading} tabIndex={-1}>
        <p class="what" role="status">
          {said ?? (error ? '' : 'Looking at threads and tasks…')}
          {said && savedAt === null && (
            <>
              {' '}
              Refresh looks anew. <a href="goroutine?debug=2">Each by itself, as text</a>
            </>
          )}
          {left && current && droppedInWords(left, current, view)}
          {isLoading && current && ' Looking…'}
        </p>
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <Losses notes={current?.notes ?? []} />
        {current && savedAt === null && <Leaked asked={leaked} owners={owners} hides={view.hides} />}
        {current && <ProfileTabs shown={current} {...{ left, tab, view, owners, onChange }} />}
      </section>
    </>
  );
}

/** The choice between threads, tasks and both. */
function KindFilter({ view, onChange }: Choosing) {
  return (
    <label>
      Show{' '}
      <select
        name="kind"
        value={view.kind ?? ''}
        onChange={(event) => onChange({ kind: (event.currentTarget.value || null) as Kind | null, zoom: '' })}
      >
        <option value="">threads and tasks</option>
        {KINDS.map((kind) => (
          <option key={kind} value={kind}>
            {kind}s
          </option>
        ))}
      </select>
    </label>
  );
}

/** Says in words how many there are, and when. */
export function inWordsOf({ profile, details, after }: Shown): string {
  const of = (kind: Kind) => profile.stacks.filter(({ labels }) => labels.kind === kind);
  const number = (stacks: readonly Stack[]) => sumOf(1, stacks)[0]!;
  const [threads, tasks] = [number(of('thread')), number(of('task'))];
  // Threads are counted, and tasks are estimated, so all of the error is the tasks'.
  const told = [...details.values()];
  const error = Math.hypot(...told.map(({ errors }: Detail) => errors?.goroutine ?? 0));
  const estimated = tasks === 0 ? 'no task that is known' : `${count(tasks)} ± ${count(error)} tasks`;
  return `At ${clock(after.seconds)}, ${things(threads, 'thread')} and ${estimated}.`;
}
