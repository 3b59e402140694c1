// This tab says what the profiler sees and what it costs: interval, samples, symbols, recorder, and its own memory.

import type { ComponentChildren } from 'preact';
import type { History } from './answers';
import { bytes, count, duration, percent } from './units';

export function About({ history, notes }: { history: History; notes: readonly string[] }) {
  const { own_memory: own, sampling_interval_bytes: interval, records, now } = history;
  return (
    <div class="about">
      <dl>
        {!history.is_installed && (
          <Item title="Not installed">
            No SamplingAllocator is the global allocator of this program, so its profiles are empty. Write{' '}
            <code>pprof_server::install!()</code> in main.
          </Item>
        )}
        <Item title="Sampling">
          {interval === 0
            ? 'Off.'
            : interval === 1
              ? 'Every allocation is recorded: figures of what was allocated since are exact.'
              : `One sample in ${count(interval)} bytes allocated, on average. A figure that rests on n samples of small blocks is off by about 1 / √n; blocks much larger than that are sampled with certainty.`}
        </Item>
        <Item title="Samples">
          {count(now.inuse_samples)} in use
          {now.inuse_space_error_bytes !== null &&
            `, so that ${bytes(now.inuse_space)} are ± ${bytes(now.inuse_space_error_bytes)} (one standard error)`}
          ; {count(own.live_samples)} held on {count(own.stacks)} stacks.
        </Item>
        <Item title="Symbols">
          {history.symbols === 'full' ? 'Functions, files, lines and inlined functions.' : history.symbols}
        </Item>
        <Item title="Recorder">
          {history.period_seconds === 0
            ? 'Off: set PPROF_RECORD to a period, such as 60s.'
            : `${count(records.length)} records, one every ${duration(history.period_seconds)}, in ${bytes(history.held_bytes)} of at most ${bytes(history.limit_bytes)}.`}
        </Item>
        <Item title="Own memory">
          {bytes(own.mapped_bytes)} of at most {bytes(own.limit_bytes)} for samples and stacks
          {now.rss_bytes ? `: ${percent(own.mapped_bytes + history.held_bytes, now.rss_bytes)} of what is resident, with the records` : ''}.
        </Item>
        <Item title="Not seen">
          Memory that does not come from the global allocator: <code>malloc</code> in C libraries, <code>mmap</code>,
          thread stacks, and what the allocator keeps. In use far below resident means that.
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
          <kbd>1</kbd> to <kbd>5</kbd> tabs · <kbd>/</kbd> search · <kbd>r</kbd> refresh · <kbd>p</kbd> pause · <kbd>i</kbd>{' '}
          callers or callees · <kbd>s</kbd> standard library · on the time line <kbd>←</kbd> <kbd>→</kbd>{' '}
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
