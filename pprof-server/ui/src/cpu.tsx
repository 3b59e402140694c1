// CPU time is what the program's threads do while they are on a processor. Nothing of it is recorded, so it is captured first.

import { useMemo, useState } from 'preact/hooks';
import { WholeNumber } from './capture';
import type { Captured } from './captured';
import { CapturedPage } from './captured_page';
import type { Choosing, Page } from './page';
import { indexOf, total } from './profile';
import { format } from './sample_type';
import type { Shown } from './shown';
import { Trace } from './trace';
import { clock, count, duration, things } from './units';

const DEFAULT_SECONDS = 10;
const DEFAULT_HZ = 100;
const MAX_HZ = 1000;
/** The frame under which the server puts the samples whose stacks are lost. */
const LOST = '[lost samples]';

interface Props extends Page {
  /** Its captures take so many samples in a second. */
  readonly cpu: Captured<number>;
}

const EMPTY = {
  before: 'Capture shows what the program’s threads do while they use a processor. Until then nothing is sampled, and nothing is spent.',
  meanwhile: 'Sampling what is busy…',
};

export function Cpu({ cpu, ...page }: Props) {
  const { current } = cpu;
  const said = useMemo(() => current && inWordsOf(current), [current]);
  return (
    <CapturedPage
      captured={cpu}
      form={<Start onStart={cpu.start} />}
      others={<Trace />}
      filters={<Threads shown={current} view={page.view} onChange={page.onChange} />}
      said={said}
      empty={EMPTY}
      {...page}
    />
  );
}

/** Asks how long, and how often, and begins. */
function Start({ onStart }: { onStart: (seconds: number, hz: number) => void }) {
  const [seconds, setSeconds] = useState(String(DEFAULT_SECONDS));
  const [hz, setHz] = useState(String(DEFAULT_HZ));
  return (
    <form
      class="capture cpu-capture"
      onSubmit={(event) => {
        event.preventDefault();
        onStart(Number(seconds), Number(hz));
      }}
    >
      <label>
        Next <WholeNumber name="seconds" value={seconds} onInput={setSeconds} /> s
      </label>
      <label title="Samples in each second of a thread's CPU time">
        at <WholeNumber name="hz" max={MAX_HZ} value={hz} onInput={setHz} /> Hz
      </label>
      <button type="submit" title="Wait, and show what was busy meanwhile">
        Capture CPU time
      </button>
    </form>
  );
}

/** The choice of one thread. Threads of one name are one. */
function Threads({ shown, view, onChange }: { shown: Shown | null } & Choosing) {
  const threads = useMemo(() => shown && threadsOf(shown), [shown]);
  const named = [...(threads ?? [])].filter(([name]) => name !== '');
  return (
    <label title="Only what the threads with this name did">
      Thread{' '}
      <select
        name="thread"
        disabled={named.length === 0}
        value={view.thread ?? ''}
        onChange={(event) => onChange({ thread: event.currentTarget.value || null, zoom: '' })}
      >
        <option value="">all</option>
        {view.thread !== null && !threads?.has(view.thread) && <option value={view.thread}>{view.thread}</option>}
        {named.map(([name, nanoseconds]) => (
          <option key={name} value={name}>
            {name} ({format('cpu', nanoseconds)})
          </option>
        ))}
      </select>
    </label>
  );
}

/** Returns the CPU time of the threads of each name, the busiest first. */
function threadsOf({ profile }: Shown): ReadonlyMap<string, number> {
  const cpu = indexOf(profile, 'cpu');
  const times = new Map<string, number>();
  for (const { thread, values } of profile.stacks) times.set(thread, (times.get(thread) ?? 0) + values[cpu]!);
  return new Map([...times].sort(([, a], [, b]) => b - a));
}

/** Says in words what was captured: how much, in which time, from how many samples of how many threads, and what is lost. */
export function inWordsOf(shown: Shown): string {
  const { profile, after } = shown;
  const sums = total(profile);
  const [samples, nanoseconds] = [sums[indexOf(profile, 'samples')]!, sums[indexOf(profile, 'cpu')]!];
  const cores = nanoseconds / 1e9 / profile.durationSeconds;
  const names = [...threadsOf(shown).keys()].filter(Boolean).length;
  const lost = profile.stacks.filter(({ frames }) => frames[0]?.function === LOST);
  const lostSamples = lost.reduce((sum, { values }) => sum + values[indexOf(profile, 'samples')]!, 0);
  return [
    `${format('cpu', nanoseconds)} of CPU time in the ${duration(profile.durationSeconds)} until ${clock(after.seconds)}, ${cores.toFixed(2)} cores.`,
    `${things(samples, 'sample')}, ${lostSamples === 0 ? 'none lost' : `${count(lostSamples)} lost`}, of threads with ${things(names, 'name')}.`,
  ].join(' ');
}
