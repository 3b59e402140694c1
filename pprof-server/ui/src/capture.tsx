// A capture shows what changes, or what is busy, in the next seconds. It counts down, and can be cancelled.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { focusBelow } from './focus';

const DEFAULT_SECONDS = 30;
/** The longest time that the server waits, unless its owner chose another. */
export const MAX_SECONDS = 300;

export interface Running {
  readonly seconds: number;
  /** In milliseconds, by the page's monotonic clock. */
  readonly startedAt: number;
}

interface Props {
  readonly running: Running | null;
  readonly onStart: (seconds: number) => void;
  readonly onCancel: () => void;
}

export function Capture({ running, onStart, onCancel }: Props) {
  const [seconds, setSeconds] = useState(String(DEFAULT_SECONDS));
  if (running) return <Countdown running={running} onCancel={onCancel} />;
  return (
    <form
      class="capture"
      onSubmit={(event) => {
        event.preventDefault();
        onStart(Number(seconds));
      }}
    >
      <label>
        Capture the next{' '}
        <WholeNumber name="seconds" value={seconds} onInput={setSeconds} />{' '}
        s
      </label>
      <button type="submit" title="Wait, and show what changed meanwhile">
        Capture
      </button>
    </form>
  );
}

interface NumberProps {
  readonly name: string;
  readonly max?: number;
  readonly value: string;
  readonly onInput: (value: string) => void;
}

/** A whole number that has to be given: so many seconds, if `max` says nothing else. */
export function WholeNumber({ name, max = MAX_SECONDS, value, onInput }: NumberProps) {
  return (
    <input
      type="number"
      name={name}
      required
      min={1}
      max={max}
      step={1}
      value={value}
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  );
}

export function Countdown({ running, onCancel }: { running: Running; onCancel: () => void }) {
  const [, tick] = useState(0);
  const cancel = useRef<HTMLButtonElement>(null);
  // The form that began the capture had the focus, and is gone. What is here goes when the capture ends, and what it shows is below.
  useLayoutEffect(() => {
    const button = cancel.current;
    if (document.activeElement === document.body) button?.focus({ preventScroll: true });
    return () => {
      if (document.activeElement === button) window.requestAnimationFrame(focusBelow);
    };
  }, []);
  useEffect(() => {
    const timer = window.setInterval(() => tick((count) => count + 1), 250);
    return () => window.clearInterval(timer);
  }, []);
  const passed = Math.min(running.seconds, (performance.now() - running.startedAt) / 1000);
  const left = Math.ceil(running.seconds - passed);
  return (
    <div class="capture" role="group" aria-label="Running capture">
      <progress max={running.seconds} value={passed} aria-label="Capture" />
      <span class="left">{left > 0 ? `${left} s left` : 'looking up names…'}</span>
      <button type="button" ref={cancel} onClick={onCancel}>
        Cancel
      </button>
    </div>
  );
}
