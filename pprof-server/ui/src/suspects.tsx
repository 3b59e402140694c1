// This tab has what the server suspects: stacks that grow, the surest first.

import { Frames } from './frames';
import { others } from './notes';
import type { Leaks, Suspect } from './answers';
import { bytes, count, duration, signed } from './units';

const KINDS: Record<Suspect['kind'], [title: string, meaning: string]> = {
  leak: ['leak', 'It grows steadily, and what was allocated long ago is still there.'],
  backlog: ['backlog', 'It grows, and old blocks are freed: a queue that gets longer, or more load.'],
  slowing: ['slowing', 'It grows ever slower: a cache or a pool that fills up, perhaps.'],
  burst: ['burst', 'It grew in one step, or has stopped growing.'],
};

/** The number of callers that are shown at once. */
const CALLERS = 2;

interface Props {
  readonly leaks: Leaks | null;
  /** Notes that stand above already. */
  readonly told: readonly string[];
  readonly isKnown: boolean;
  /** What finds the callers to hide. With `null`, none are hidden. */
  readonly plumbing: RegExp | null;
  /** Shows the stack elsewhere. */
  readonly onShow: (suspect: Suspect, tab: 'flame' | 'table') => void;
}

export function Suspects({ leaks, told, isKnown, plumbing, onShow }: Props) {
  if (!isKnown) return <p class="empty">Asking…</p>;
  if (!leaks) return <p class="empty">This program looks for no suspects: nothing is recorded.</p>;
  return (
    <>
      {leaks.suspects.length === 0 && (
        <p class="empty">
          Nothing grows that chance alone would not explain, in the {duration(leaks.window_seconds)} of{' '}
          {count(leaks.records)} records.
        </p>
      )}
      <ol class="suspects">
        {leaks.suspects.map((suspect, index) => (
          <Card key={index} suspect={suspect} plumbing={plumbing} onShow={onShow} />
        ))}
      </ol>
      {others(leaks.notes, told).map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
    </>
  );
}

function Card({ suspect, plumbing, onShow }: { suspect: Suspect } & Pick<Props, 'plumbing' | 'onShow'>) {
  const [title, meaning] = KINDS[suspect.kind];
  const { growth_bytes_per_hour: rate, growth_error_bytes_per_hour: error, age, stack } = suspect;
  return (
    <li class={`suspect is-${suspect.kind}`}>
      <h2>
        <span class="kind">{title}</span> <span class="function">{stack[0]?.function ?? '(no stack)'}</span>
      </h2>
      <Course values={suspect.history_inuse_space} />
      <p class="meaning">{meaning}</p>
      <dl class="figures">
        <div>
          <dt>grows</dt>
          <dd>
            <b>{signed(rate, bytes)}/h</b> ± {bytes(error)}
          </dd>
        </div>
        <div>
          <dt>grew</dt>
          <dd>{signed(suspect.growth_bytes, bytes)}</dd>
        </div>
        <div>
          <dt>in use</dt>
          <dd>
            {bytes(suspect.inuse_space)}{' '}
            {suspect.inuse_space_error_bytes !== null && `± ${bytes(suspect.inuse_space_error_bytes)} `}in {count(suspect.inuse_objects)} objects, {count(suspect.inuse_samples)} samples
          </dd>
        </div>
        <div>
          <dt>surety</dt>
          <dd>{suspect.z.toFixed(1)} times what chance would make</dd>
        </div>
        {age && (
          <div>
            <dt>age</dt>
            <dd>
              {duration(age.median_seconds)} median, {duration(age.max_seconds)} oldest
            </dd>
          </div>
        )}
      </dl>
      <Frames stack={stack} plumbing={plumbing} most={CALLERS} />
      {stack.length > CALLERS + 1 && (
        <details>
          <summary>the whole stack</summary>
          <Frames stack={stack} plumbing={plumbing} most={Infinity} />
        </details>
      )}
      <p class="actions">
        <button type="button" onClick={() => onShow(suspect, 'flame')}>
          Show in flame graph
        </button>{' '}
        <button type="button" onClick={() => onShow(suspect, 'table')}>
          Show in table
        </button>
      </p>
    </li>
  );
}

/** Draws how the memory in use went, from 0 to its maximum. It is a picture of what the figures say. */
function Course({ values }: { values: readonly number[] }) {
  const most = Math.max(...values, 1);
  const points = values.map((value, index) => `${(100 * index) / Math.max(values.length - 1, 1)},${30 - (30 * value) / most}`);
  return (
    <svg class="course" viewBox="0 -1 100 32" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
