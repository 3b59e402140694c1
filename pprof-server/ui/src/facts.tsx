// The key facts are what is in use, what is resident, the limit, and how fast memory grows.

import type { History } from './answers';
import { bytes, duration, percent, signed } from './units';

export function Facts({ history }: { history: History }) {
  const { now, records } = history;
  const first = records[0];
  const seconds = first ? (now.time_nanos - first.time_nanos) / 1e9 : 0;
  const growth = first && seconds > 0 ? now.inuse_space - first.inuse_space : null;
  const allocated = first && seconds > 0 ? (now.alloc_space - first.alloc_space) / seconds : null;
  return (
    <dl class="facts">
      <Fact
        title="In use"
        value={history.is_installed ? bytes(now.inuse_space) : 'unknown'}
        note={
          now.inuse_space_error_bytes === null
            ? 'no samples'
            : now.inuse_space_error_bytes > 0
              ? `± ${bytes(now.inuse_space_error_bytes)} (${percent(now.inuse_space_error_bytes, now.inuse_space)})`
              : 'exact'
        }
      />
      <Fact
        title="Resident"
        value={now.rss_bytes === null ? 'unknown' : bytes(now.rss_bytes)}
        note={now.rss_bytes === null ? '' : `in use: ${percent(now.inuse_space, now.rss_bytes)}`}
      />
      <Fact
        title="Limit"
        value={now.memory_limit_bytes === null ? 'none known' : bytes(now.memory_limit_bytes)}
        note={
          now.memory_limit_bytes !== null && now.rss_bytes !== null
            ? `resident: ${percent(now.rss_bytes, now.memory_limit_bytes)}`
            : 'of the control group'
        }
      />
      <Fact
        title="Growth"
        value={growth === null ? '–' : signed(growth, bytes)}
        note={growth === null ? 'nothing recorded' : `in ${duration(seconds)}`}
      />
      <Fact
        title="Allocated"
        value={allocated === null ? bytes(now.alloc_space) : `${bytes(allocated)}/s`}
        note={allocated === null ? 'since the start' : `in ${duration(seconds)}`}
      />
    </dl>
  );
}

function Fact({ title, value, note }: { title: string; value: string; note: string }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        <b>{value}</b>
        <small>{note}</small>
      </dd>
    </div>
  );
}
