// The key facts are what is in use, what is resident, the limit, and how fast memory grows.

import type { History } from './answers';
import { allocationRate, curveOf } from './curve';
import { bytes, duration, percent, signed } from './units';

/** The rate of allocation is that of so long a time. */
const RATE_SECONDS = 10;

export function Facts({ history }: { history: History }) {
  const { now, records } = history;
  const first = records[0];
  const seconds = first ? (now.time_nanos - first.time_nanos) / 1e9 : 0;
  const [before, after] = [first?.inuse_space ?? null, now.inuse_space];
  const growth = before !== null && after !== null && seconds > 0 ? after - before : null;
  const curve = curveOf(history);
  const allocated = allocationRate(curve, curve.times.length - 1, RATE_SECONDS);
  const limit = now.memory_limit_bytes;
  // The kernel looks at what the whole group uses.
  const usage = now.memory_usage_bytes ?? now.rss_bytes;
  return (
    <dl class="facts">
      <Fact
        title="In use"
        value={now.inuse_space === null ? 'unknown' : bytes(now.inuse_space)}
        note={
          now.inuse_space === null || now.inuse_space_error_bytes === null
            ? 'no samples'
            : now.inuse_space_error_bytes > 0
              ? `± ${bytes(now.inuse_space_error_bytes)} (${percent(now.inuse_space_error_bytes, now.inuse_space)})`
              : 'exact'
        }
      />
      <Fact
        title="Resident"
        value={now.rss_bytes === null ? 'unknown' : bytes(now.rss_bytes)}
        note={limit === null ? 'no limit is set' : 'of the process'}
      />
      {limit !== null && (
        <Fact
          title="Of the limit"
          value={usage === null ? 'unknown' : percent(usage, limit)}
          note={usage === null ? bytes(limit) : `${bytes(usage)} of ${bytes(limit)}`}
        />
      )}
      <Fact
        title="Growth"
        value={growth === null ? '–' : signed(growth, bytes)}
        note={growth === null ? 'nothing recorded' : `in ${duration(seconds)}`}
      />
      <Fact
        title="Allocated"
        value={now.alloc_space === null ? 'unknown' : allocated === null ? bytes(now.alloc_space) : `${bytes(allocated)}/s`}
        note={allocated === null ? 'since the start' : `in the last ${duration(RATE_SECONDS)}`}
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
