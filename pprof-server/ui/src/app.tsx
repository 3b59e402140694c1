// The page has key facts, the time line, the choice of moments, and the tabs that show what is chosen.
//
// The state is the `View` in the address, what the server said last, and what is shown. Everything below is given what
// it draws and tells what the user did.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { About } from './about';
import { useView } from './address';
import type { History } from './answers';
import { Capture } from './capture';
import { Choice } from './choice';
import { command } from './command';
import { Downloads } from './downloads';
import { Facts } from './facts';
import { Filters } from './filters';
import { Flame } from './flame';
import { FunctionTable } from './functions';
import { useKeys } from './keys';
import { Losses } from './notes';
import { hide } from './plumbing';
import { usePoll } from './poll';
import { useRequest } from './request';
import { SAMPLE_TYPES, format } from './sample_type';
import * as server from './server';
import type { Shown } from './shown';
import { Suspects } from './suspects';
import { StackTable } from './table';
import { Tabs } from './tabs';
import { Timeline } from './timeline';
import { build } from './tree';
import { clock, duration } from './units';
import type { Moment, View } from './view';

/** The time between two looks if nothing is recorded, or seldom. */
const LONGEST_PERIOD_SECONDS = 10;
/** Suspects cost more than a look, and change more slowly. */
const LEAST_SUSPECTS_PERIOD_SECONDS = 5;

/** If nothing is recorded, nothing can be suspected. */
const none = async () => null;

export function App() {
  const [view, change] = useView();
  const [isPaused, setPaused] = useState(false);
  const [period, setPeriod] = useState(LONGEST_PERIOD_SECONDS);
  const history = usePoll(server.history, period, isPaused);
  const said = history.value;
  const isRecorded = (said?.period_seconds ?? 0) > 0;
  const leaks = usePoll(isRecorded ? server.leaks : none, Math.max(said?.period_seconds ?? 0, LEAST_SUSPECTS_PERIOD_SECONDS), isPaused);
  const searchBox = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (said) setPeriod(Math.min(said.period_seconds || LONGEST_PERIOD_SECONDS, LONGEST_PERIOD_SECONDS));
  }, [said?.period_seconds]);

  const { current, isCaptured, isLoading, error, running, askAnew, startCapture, cancelCapture } = useRequest(view, said !== null);
  const refresh = () => {
    history.refresh();
    leaks.refresh();
    askAnew();
  };
  const hasSuspects = (leaks.value?.suspects.length ?? 0) > 0;
  const tab = view.tab ?? (hasSuspects ? 'suspects' : 'table');
  const latestTab = useRef(tab);
  latestTab.current = tab;
  const onCapture = async (seconds: number) => {
    const isShown = await startCapture(seconds);
    if (isShown && (latestTab.current === 'suspects' || latestTab.current === 'about')) change({ tab: 'table' });
  };
  const plumbing = useMemo(() => said && new RegExp(said.plumbing), [said?.plumbing]);
  const hides = view.hidesStd ? plumbing : null;
  const hidden = useMemo(
    () => current && (hides ? hide(current.profile, hides) : { profile: current.profile, dropped: null }),
    [current, hides],
  );
  const callees = useMemo(() => hidden && build(hidden.profile, view.type), [hidden, view.type]);
  const tree = useMemo(
    () => hidden && (view.direction === 'callees' ? callees : build(hidden.profile, view.type, 'callers')),
    [hidden, callees, view.type, view.direction],
  );

  useKeys({
    '1': () => change({ tab: 'suspects' }),
    '2': () => change({ tab: 'table' }),
    '3': () => change({ tab: 'functions' }),
    '4': () => change({ tab: 'flame' }),
    '5': () => change({ tab: 'about' }),
    '/': () => searchBox.current?.focus(),
    r: refresh,
    p: () => setPaused(!isPaused),
    i: () => change({ direction: view.direction === 'callees' ? 'callers' : 'callees', zoom: [] }),
    s: () => change({ hidesStd: !view.hidesStd, zoom: [] }),
  });

  if (!said || !plumbing) {
    return (
      <main class="app">
        <h1>Heap</h1>
        <p class="empty" role="status">
          {history.error ?? 'Asking the profiler…'}
        </p>
      </main>
    );
  }
  const dropped = hidden?.dropped?.[SAMPLE_TYPES.indexOf(view.type)] ?? 0;
  return (
    <div class="app">
      <header>
        <h1>
          Heap <small>{current?.profile.program}</small>
        </h1>
        <Facts history={said} />
        <div class="live">
          <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
            {isPaused ? 'Resume' : 'Pause'}
          </button>
          <button type="button" onClick={refresh}>
            Refresh
          </button>
        </div>
      </header>
      <main>
        {history.error && (
          <p class="error" role="alert">
            {history.error}
          </p>
        )}
        {!said.is_installed && (
          <p class="error">
            No SamplingAllocator is the global allocator of this program, so its profiles are empty. Write{' '}
            <code>pprof_server::install!()</code> in main.
          </p>
        )}
        <Timeline
          history={said}
          from={timeOf(said, view.from)}
          to={timeOf(said, view.to)}
          onChoose={(from, to) => change({ from: named(said, view.from, from), to: named(said, view.to, to), zoom: [] })}
        />
        <div class="toolbar">
          <Choice
            history={said}
            from={view.from}
            to={view.to}
            onChoose={(from, to) => change({ from, to, zoom: [] })}
            onMark={async (name, replaces) => {
              await server.mark(name, replaces);
              history.refresh();
            }}
          />
          <Capture running={running} onStart={onCapture} onCancel={cancelCapture} />
        </div>
        <Filters view={view} searchBox={searchBox} onChange={change} />
        <Tabs tab={tab} suspects={leaks.value?.suspects.length ?? 0} onChange={(tab) => change({ tab })} />
        <section role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`} aria-busy={isLoading} tabIndex={-1}>
          <p class="what" role="status" hidden={tab === 'suspects' || tab === 'about'}>
            {error ? '' : current ? inWordsOf(current, isCaptured, view) : 'Fetching the profile…'}
            {current && dropped !== 0 && ` Not shown, for nothing else is on their stacks: ${format(view.type, dropped, current.isDifference)}.`}
            {isLoading && current ? ' Fetching…' : ''}
          </p>
          {error && (
            <p class="error" role="alert">
              {error}
            </p>
          )}
          <Losses notes={current?.notes ?? []} />
          {tab === 'suspects' && (
            <Suspects
              leaks={leaks.value}
              told={current?.notes ?? []}
              isKnown={!isRecorded || leaks.value !== null}
              plumbing={hides}
              onShow={({ stack }, tab) => {
                // It shows the growth in the time that was looked at, up to this moment.
                change({ tab, from: said.records[0] ? said.records[0].time_nanos / 1e9 : null, to: null, search: stack[0]?.function ?? '', zoom: [] });
                askAnew();
              }}
            />
          )}
          {tab === 'table' && current && <StackTable key={view.type} shown={current} type={view.type} search={view.search} plumbing={hides} />}
          {tab === 'functions' && current && callees && (
            <FunctionTable
              root={callees}
              type={view.type}
              isDifference={current.isDifference}
              search={view.search}
              onFind={(name) => change({ tab: 'flame', search: name })}
            />
          )}
          {tab === 'flame' && current && tree && (
            <Flame
              root={tree}
              type={view.type}
              isDifference={current.isDifference}
              search={view.search}
              plumbing={plumbing}
              zoom={view.zoom}
              onZoom={(zoom) => change({ zoom })}
            />
          )}
          {tab === 'about' && <About history={said} notes={current?.notes ?? []} />}
        </section>
        {current && (
          <Downloads
            before={current.before}
            after={current.after}
            command={command({
              before: current.before?.name ?? null,
              after: current.after.name,
              type: view.type,
              tab,
              plumbing: view.hidesStd ? said.plumbing : null,
            })}
          />
        )}
      </main>
    </div>
  );
}

/** Returns the time of a moment in seconds since 1970 UTC; `null` is now, or a mark that is not there. */
function timeOf(history: History, moment: Moment | null): number | null {
  if (typeof moment !== 'string') return moment;
  const mark = history.marks.find(({ name }) => name === moment);
  return mark ? mark.time_nanos / 1e9 : null;
}

/** Returns `seconds`, or `before` if that is a mark that was set then. */
function named(history: History, before: Moment | null, seconds: number | null): Moment | null {
  return seconds !== null && timeOf(history, before) === seconds ? before : seconds;
}

/** Says in words what is shown below. */
function inWordsOf({ before, after, profile }: Shown, isCaptured: boolean, view: View): string {
  const at = clock(after.seconds);
  if (isCaptured) return `What changed in the ${duration(profile.durationSeconds)} until ${at}.`;
  if (before) return `What changed from ${clock(before.seconds)} to ${at}, ${duration(profile.durationSeconds)} later.`;
  return `${view.to === null ? 'As of' : 'At'} ${at}.${view.to === null ? ' Refresh takes it anew.' : ''}`;
}
