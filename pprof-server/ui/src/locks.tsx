// Waits for locks: where threads wait, and where locks are given back that others wait for. They are measured while somebody asks, so they
// are captured first. Who waits at this moment is seen at once.

import { useState } from 'preact/hooks';
import { WholeNumber } from './capture';
import type { Captured } from './captured';
import { CapturedPage } from './captured_page';
import type { Page } from './page';
import { indexOf, total } from './profile';
import { format } from './sample_type';
import { WAITS, type Waits } from './server';
import type { Shown } from './shown';
import { clock, duration, things } from './units';

const DEFAULT_SECONDS = 10;

const TITLES: Record<Waits, string> = { block: 'where threads wait', mutex: 'who makes others wait', current: 'who waits now' };

interface Props extends Page {
  readonly waits: Captured<Waits>;
}

const EMPTY = {
  before:
    'Capture shows how long threads wait for locks, channels and condition variables. The program switches that on by install!(locks = true). Who waits now is known without it.',
  meanwhile: 'Measuring waits…',
};

export function Locks({ waits, ...page }: Props) {
  const { current } = waits;
  // The choice stays for the next capture.
  const [chosen, setChosen] = useState<Chosen>({ of: 'block', seconds: String(DEFAULT_SECONDS) });
  return (
    <CapturedPage
      captured={waits}
      form={<Start chosen={chosen} onChoose={setChosen} onStart={waits.start} />}
      said={current && inWordsOf(current)}
      empty={EMPTY}
      {...page}
    />
  );
}

interface Chosen {
  readonly of: Waits;
  readonly seconds: string;
}

interface StartProps {
  readonly chosen: Chosen;
  readonly onChoose: (chosen: Chosen) => void;
  readonly onStart: (seconds: number, of: Waits) => void;
}

/** Asks what is wanted and how long, and begins. */
function Start({ chosen, onChoose, onStart }: StartProps) {
  const { of, seconds } = chosen;
  return (
    <form
      class="capture"
      onSubmit={(event) => {
        event.preventDefault();
        onStart(of === 'current' ? 1 : Number(seconds), of);
      }}
    >
      <label>
        Show{' '}
        <select name="waits" value={of} onChange={(event) => onChoose({ ...chosen, of: event.currentTarget.value as Waits })}>
          {WAITS.map((one) => (
            <option key={one} value={one}>
              {TITLES[one]}
            </option>
          ))}
        </select>
      </label>
      {of !== 'current' && (
        <label>
          in the next{' '}
          <WholeNumber name="seconds" value={seconds} onInput={(seconds) => onChoose({ ...chosen, seconds })} />{' '}
          s
        </label>
      )}
      <button type="submit">{of === 'current' ? 'Look' : 'Capture waits'}</button>
    </form>
  );
}

/** Says in words what was captured. The file is called by what was asked for. */
export function inWordsOf({ profile, after }: Pick<Shown, 'profile' | 'after'>): string {
  const sums = total(profile);
  const [many, nanoseconds] = [Math.round(sums[indexOf(profile, 'contentions')]!), format('delay', sums[indexOf(profile, 'delay')]!)];
  const at = clock(after.seconds);
  const of = WAITS.find((one) => after.name.startsWith(one));
  if (of === 'current') return `At ${at}, ${things(many, 'thread')} waited for other threads, ${nanoseconds} together until then.`;
  const when = `in the ${duration(profile.durationSeconds)} until ${at}`;
  if (of === 'mutex') return `Others waited ${nanoseconds} for locks that were given back ${when}, ${things(many, 'time')}.`;
  return `Threads waited ${nanoseconds} ${when}, ${things(many, 'time')}.`;
}
