// This tab says what the profiler sees and what it costs: interval, samples, symbols, recorder, and its own memory.

import type { ComponentChildren } from 'preact';
import type { History } from './answers';
import { bytes, count, duration, percent, things } from './units';

export function About({ history, notes }: { history: History; notes: readonly string[] }) {
  const { own_memory: own, sampling_interval_bytes: interval, records, now } = history;
  return (
    <div class="about">
      <dl>
        <Item title="Sampling">
          {interval === 0
            ? 'Sampling is off.'
            : interval === 1
              ? 'Every allocation is recorded: figures of what was allocated since are exact.'
              : `There is one sample in ${count(interval)} bytes allocated, on average. A figure that rests on n samples of small blocks is off by about 1 / √n; blocks much larger than that are sampled with certainty.`}
        </Item>
        <Item title="Samples">
          There are {things(now.inuse_samples, 'sample')} of what is in use
          {now.inuse_space !== null &&
            now.inuse_space_error_bytes !== null &&
            `, so that ${bytes(now.inuse_space)} are ± ${bytes(now.inuse_space_error_bytes)} (one standard error)`}
          . The profiler holds {things(own.live_samples, 'sample')} on {things(own.stacks, 'stack')}.
        </Item>
        <Item title="Symbols">
          {history.symbols === 'full' ? 'The profile has functions, files, lines and inlined functions.' : history.symbols}
        </Item>
        <Item title="Recorder">
          {history.period_seconds === 0
            ? 'The recorder is off: set PPROF_RECORD to a period, such as 60s.'
            : `There are ${things(records.length, 'record')} with stacks, at present one every ${duration(history.pause_seconds)}, and ${things(history.points.time_seconds.length, 'point')} without stacks. They take ${bytes(history.held_bytes)} of at most ${bytes(history.limit_bytes)}.`}
          {history.notes.map((note) => (
            <p key={note}>{note}</p>
          ))}
        </Item>
        <Item title="Own memory">
          Samples and stacks take {bytes(own.mapped_bytes)} of at most {bytes(own.limit_bytes)}.
          {now.rss_bytes ? ` With the records, that is ${percent(own.mapped_bytes + history.held_bytes, now.rss_bytes)} of what is resident.` : ''}
        </Item>
        <Item title="Not seen">
          The profile does not see memory that does not come from the global allocator: <code>malloc</code> in C libraries,{' '}
          <code>mmap</code>, thread stacks, and what the allocator keeps. If much less is in use than is resident, this is why.
        </Item>
        {notes.length > 0 && (
          <Item title="This profile">
            <ul>
              {notes.map((note) => (
                <li key={note}>{note}</li>
              ))}
            </ul>
          </Item>
        )}
        <Item title="Keys">
          <kbd>h</kbd> heap · <kbd>c</kbd> CPU · <kbd>t</kbd> threads and tasks · <kbd>l</kbd> locks · <kbd>1</kbd> to <kbd>6</kbd> tabs · <kbd>/</kbd> search · <kbd>r</kbd> refresh · <kbd>p</kbd> pause · <kbd>i</kbd>{' '}
          callers below · <kbd>s</kbd> standard library · <kbd>m</kbd> my code only · on the time line <kbd>←</kbd> <kbd>→</kbd>{' '}
          <kbd>Page↑</kbd> <kbd>Page↓</kbd> <kbd>Home</kbd> <kbd>End</kbd> · in the flame graph arrows, <kbd>Enter</kbd>{' '}
          zoom, <kbd>⌫</kbd> out, <kbd>Esc</kbd> all
        </Item>
      </dl>
    </div>
  );
}

function Item({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>{children}</dd>
    </div>
  );
}
