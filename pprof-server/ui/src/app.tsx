// The page has key facts, and below them what it is about: the heap, CPU time, threads and tasks, or waits for locks.
//
// The state is the `View` in the address, what the server said last, and what is shown. Everything below is given what
// it draws and tells what the user did.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useView } from './address';
import { useAsked } from './asked';
import { Below } from './below';
import { useCaptured } from './captured';
import { Cpu } from './cpu';
import { useFocusBelow } from './focus';
import { Header } from './header';
import { Heap } from './heap';
import { page } from './kept';
import { useKeys } from './keys';
import { useLive } from './live';
import { Locks } from './locks';
import type { Choosing } from './page';
import { Owners } from './plumbing';
import { useRequest } from './request';
import { useRestart } from './restart';
import { save } from './save';
import { holders as fetchHolders, leakedTasks } from './server';
import { captureCpu, captureWaits } from './shown';
import type { Source } from './source';
import { SUBJECT_TITLES } from './subjects';
import { Threads } from './threads';
import { useThreads } from './threads_request';
import { stamp } from './units';
import { format, SUBJECTS, TABS_OF, tabOf, withSubject, withType, type Moment, type View } from './view';

export function App({ source }: { source: Source }) {
  const isLive = source.savedAt === null;
  const [address, changeAddress] = useView();
  const change = useFocusBelow(changeAddress);
  const view = useMemo(() => withType(address), [address]);
  const [isPaused, setPaused] = useState(false);
  const live = useLive(source, isPaused || !isLive);
  const { history, leaks } = live;
  const searchBox = useRef<HTMLInputElement>(null);
  const profiles = useProfiles(source, view, history !== null);
  const { request, threads, current, program } = profiles;
  const onPause = () => setPaused(!isPaused);
  const onRefresh = () => {
    live.refresh();
    if (view.subject === 'threads') threads.askAnew();
    else request.askAnew();
  };
  const tab = tabOf(view, (leaks?.suspects?.length ?? 0) > 0);
  const owners = useMemo(() => history && new Owners(history, program), [history?.plumbing, history?.libraries, program]);
  /** Other moments are chosen: neither a capture nor a file is shown any more. */
  const choose = (from: Moment | null, to: Moment | null) => {
    if (request.baseline) void request.compare(null);
    change({ from, to, capture: null, zoom: '' });
  };
  const restart = useRestart(history, () => {
    // Neither the moments nor the marks of the former run are there any more.
    choose(null, null);
    onRefresh();
  });
  const onKeep = async () => {
    if (!history || !current) return;
    const text = await page(format({ ...address, tab }), view.subject, history, leaks, current);
    save(`${program || view.subject}-${stamp(current.after.seconds)}.html`, text, 'text/html');
  };
  useKeys(keysOf({ view: address, isLive, onChange: change, onSearch: () => searchBox.current?.focus(), onRefresh, onPause }));

  if (!history || !owners) return <Waiting title={SUBJECT_TITLES[view.subject]} error={live.error} />;
  const shared = { view, tab, owners, searchBox, savedAt: source.savedAt, onChange: change };
  return (
    <div class="app">
      <Header view={address} {...{ program, history, isLive, isPaused, onPause, onRefresh }} />
      <main>
        <Messages error={live.error} restart={restart} />
        {view.subject === 'heap' && <Heap {...{ ...shared, live, history, request, holders: profiles.holders }} onChoose={choose} />}
        {view.subject === 'cpu' && <Cpu {...{ ...shared, cpu: profiles.cpu }} />}
        {view.subject === 'locks' && <Locks {...{ ...shared, waits: profiles.waits }} />}
        {view.subject === 'threads' && <Threads {...{ ...shared, threads, leaks, leaked: profiles.leaked }} />}
        {current && tab !== 'holders' && <Below {...{ current, view, tab, owners }} onKeep={isLive ? onKeep : null} />}
      </main>
    </div>
  );
}

/** Returns the profiles of all subjects, what is searched for in the program's memory, and which profile is shown. */
function useProfiles(source: Source, view: View, isReady: boolean) {
  const { subject } = view;
  const request = useRequest(view, isReady && subject === 'heap', source);
  const cpu = useCaptured(captureCpu, source.keptCpu);
  const waits = useCaptured(captureWaits, source.keptWaits);
  const threads = useThreads(source, isReady && subject === 'threads');
  const holders = useAsked(fetchHolders);
  const leaked = useAsked(leakedTasks);
  const shown = { heap: request.current, cpu: cpu.current, threads: threads.current, locks: waits.current };
  const program = (shown.heap ?? shown.cpu ?? shown.threads ?? shown.locks)?.profile.program ?? '';
  useEffect(() => {
    const title = SUBJECT_TITLES[subject];
    // Profiles tell the program, and some are there only after a capture.
    document.title = program ? `${program} – ${subject === 'heap' ? 'heap' : title}` : title;
  }, [program, subject]);
  return { request, cpu, waits, threads, holders, leaked, current: shown[subject], program };
}

interface Acts extends Choosing {
  readonly isLive: boolean;
  readonly onSearch: () => void;
  readonly onRefresh: () => void;
  readonly onPause: () => void;
}

/** Returns what each key does, wherever the focus is. */
function keysOf({ view, isLive, onChange, onSearch, onRefresh, onPause }: Acts): Record<string, () => void> {
  return {
    ...Object.fromEntries(TABS_OF[view.subject].map((tab, index) => [String(index + 1), () => onChange({ tab })])),
    // Each subject has its first letter.
    ...(isLive && Object.fromEntries(SUBJECTS.map((subject) => [subject[0], () => onChange(withSubject(view, subject))]))),
    '/': onSearch,
    r: onRefresh,
    p: onPause,
    i: () => onChange({ direction: view.direction === 'callees' ? 'callers' : 'callees', zoom: '' }),
    s: () => onChange({ hides: view.hides === 'nothing' ? 'std' : 'nothing', zoom: '' }),
    m: () => onChange({ hides: view.hides === 'libraries' ? 'std' : 'libraries', zoom: '' }),
  };
}

/** The page before the program has answered. */
function Waiting({ title, error }: { title: string; error: string | null }) {
  return (
    <main class="app">
      <h1>{title}</h1>
      <p class="empty" role="status">
        {error ?? 'Asking the profiler…'}
      </p>
    </main>
  );
}

/** That the program does not answer, or has been started anew. */
function Messages({ error, restart }: { error: string | null; restart: string | null }) {
  return (
    <>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {restart && (
        <p class="note" role="status">
          {restart}
        </p>
      )}
    </>
  );
}
