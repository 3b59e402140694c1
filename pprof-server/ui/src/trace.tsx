// A trace has what happened event by event. Other viewers show it, so the page offers it as a file, and says how to open it.

import { useState } from 'preact/hooks';
import { MAX_SECONDS, WholeNumber } from './capture';

const DEFAULT_SECONDS = 5;

export function Trace() {
  const [seconds, setSeconds] = useState(String(DEFAULT_SECONDS));
  const isTime = Number(seconds) > 0 && Number(seconds) <= MAX_SECONDS;
  return (
    <p class="trace note">
      <label>
        All events of the next{' '}
        <WholeNumber name="trace-seconds" value={seconds} onInput={setSeconds} />{' '}
        s:
      </label>{' '}
      <a href={`trace?seconds=${isTime ? Number(seconds) : DEFAULT_SECONDS}`} download="trace.json">
        Download a trace
      </a>
      . To open it, drag the file onto the page of{' '}
      <a href="https://profiler.firefox.com" rel="noreferrer" target="_blank">
        Firefox Profiler
      </a>{' '}
      or{' '}
      <a href="https://ui.perfetto.dev" rel="noreferrer" target="_blank">
        Perfetto
      </a>
      , which read it in the browser and send it nowhere. <code>go tool trace</code> does not read it.
    </p>
  );
}
