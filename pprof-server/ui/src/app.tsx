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
import { Header } from './header';
import { Heap } from './heap';
import { page } from './kept';
import { useKeys } from './keys';
import { useLive } from './live';
import { Locks } from './locks';
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
import { format, SUBJECTS, TABS_OF, tabOf, withSubject, withType, type Moment } from './view';

export function App({ source }: { source: Source }) {
  const isLive = source.savedAt === null;
  const [address, change] = useView();
  const isHeap = address.subject === 'heap';
  const view = useMemo(() => withType(address), [address]);
  const [isPaused, setPaused] = useState(false);
  const live = useLive(source, isPaused || !isLive);
  const { history, leaks } = live;
  const searchBox = useRef<HTMLInputElement>(null);

  const request = useRequest(view, history !== null && isHeap, source);
  const cpu = useCaptured(captureCpu, source.keptCpu);
  const waits = useCaptured(captureWaits, source.keptWaits);
  const holders = useAsked(fetchHolders);
  const leaked = useAsked(leakedTasks);
  const threads = useThreads(source, history !== null && address.subject === 'threads');
  const shown = { heap: request.current, cpu: cpu.current, threads: threads.current, locks: waits.current };
  const current = shown[address.subject];
  const program = (shown.heap ?? shown.cpu ?? shown.threads ?? shown.locks)?.profile.program ?? '';
  const title = SUBJECT_TITLES[view.subject];
  useEffect(() => {
    if (program) document.title = `${program} – ${isHeap ? 'heap' : title}`;
  }, [program, title]);
  const refresh = () => {
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
    refresh();
  });
  const onKeep = async () => {
    if (!history || !current) return;
    const text = await page(format({ ...address, tab }), view.subject, history, leaks, current);
    save(`${program || view.subject}-${stamp(current.after.seconds)}.html`, text, 'text/html');
  };

  useKeys({
    ...Object.fromEntries(TABS_OF[view.subject].map((tab, index) => [String(index + 1), () => change({ tab })])),
    // The first letter of each.
    ...(isLive && Object.fromEntries(SUBJECTS.map((subject) => [subject[0], () => change(withSubject(address, subject))]))),
    '/': () => searchBox.current?.focus(),
    r: refresh,
    p: () => setPaused(!isPaused),
    i: () => change({ direction: view.direction === 'callees' ? 'callers' : 'callees', zoom: '' }),
    s: () => change({ hides: view.hides === 'nothing' ? 'std' : 'nothing', zoom: '' }),
    m: () => change({ hides: view.hides === 'libraries' ? 'std' : 'libraries', zoom: '' }),
  });

  if (!history || !owners) {
    return (
      <main class="app">
        <h1>{title}</h1>
        <p class="empty" role="status">
          {live.error ?? 'Asking the profiler…'}
        </p>
      </main>
    );
  }
  const shared = { view, tab, owners, searchBox, savedAt: source.savedAt, onChange: change };
  return (
    <div class="app">
      <Header view={address} {...{ program, history, isLive, isPaused }} onPause={() => setPaused(!isPaused)} onRefresh={refresh} />
      <main>
        {live.error && (
          <p class="error" role="alert">
            {live.error}
          </p>
        )}
        {restart && (
          <p class="note" role="status">
            {restart}
          </p>
        )}
        {isHeap && <Heap {...{ ...shared, live, history, request, holders }} onChoose={choose} />}
        {view.subject === 'cpu' && <Cpu {...{ ...shared, cpu }} />}
        {view.subject === 'locks' && <Locks {...{ ...shared, waits }} />}
        {view.subject === 'threads' && <Threads {...{ ...shared, threads, leaks, leaked }} />}
        {current && tab !== 'holders' && <Below {...{ current, view, tab, owners }} onKeep={isLive ? onKeep : null} />}
      </main>
    </div>
  );
}
