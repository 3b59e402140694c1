// This tab has what the server suspects: lines of the program's own that grow, the surest first. While it is too early for a
// verdict, it has what grew until now.

import type { ComponentChildren } from 'preact';
import type { KindWords, Leaks, Suspect } from './answers';
import { Stack, Title } from './frames';
import { HeldBy, type Holding } from './held_by';
import { others } from './notes';
import { placeOf } from './names';
import type { Owners } from './plumbing';
import { TaskWaits } from './task_waits';
import { bytes, clock, count, duration, percent, rate, signed, things } from './units';
import type { Hides } from './view';

interface Props {
  readonly leaks: Leaks | null;
  /** Notes that stand above already. */
  readonly told: readonly string[];
  readonly isKnown: boolean;
  readonly owners: Owners;
  readonly hides: Hides;
  /** `null` if the program cannot be asked. */
  readonly holding: Holding | null;
  /** Shows the stacks elsewhere. */
  readonly onShow: (suspect: Suspect, tab: 'flame' | 'table') => void;
  /** Shows the threads and tasks on whose stacks a function is. */
  readonly onShowTasks: (name: string) => void;
}

export function Suspects({ leaks, told, isKnown, owners, hides, holding, onShow, onShowTasks }: Props) {
  if (!isKnown) return <p class="empty">Asking…</p>;
  if (!leaks) return <p class="empty">This program looks for no suspects: nothing is recorded.</p>;
  return (
    <>
      <p class="what" role="status">
        {headingOf(leaks)}
      </p>
      <ol class="suspects">
        {leaks.suspects?.map((suspect) => (
          <Card
            key={`${suspect.kind} ${suspect.since_nanos} ${nameOf(suspect)}`}
            words={leaks.kinds.find(({ kind }) => kind === suspect.kind)}
            {...{ leaks, suspect, owners, hides, holding, onShow, onShowTasks }}
          />
        ))}
      </ol>
      {others(leaks.notes, told).map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      <Kinds kinds={leaks.kinds} />
    </>
  );
}

/** Says what is below, and over which time it was judged. */
export function headingOf({ suspects, first_verdict_in_seconds: verdict, window_seconds: window, records }: Leaks): string {
  if (suspects === null) return 'Nothing was sampled, so nobody knows what grows.';
  if (verdict !== null) {
    const first = `Too early: the first verdict comes in about ${duration(verdict)}.`;
    return suspects.length > 0 ? `${first} Until then, this grew, which may be chance:` : `${first} Nothing has grown until now.`;
  }
  const judged = `in the last ${duration(window)}, by ${things(records, 'record')}`;
  if (suspects.length === 0) return `Nothing grows that chance alone would not explain, ${judged}.`;
  return `What grew ${judged}, whatever moments are chosen above.`;
}

/** Returns the name of the function by which a person would call a suspect. */
export function nameOf({ stack, named_frame: named }: Pick<Suspect, 'stack' | 'named_frame'>): string {
  return (stack[named] ?? stack[0])?.function ?? '(no stack)';
}

/** Says by how much a suspect grew, in which time, and since when. */
export function growthOf(suspect: Suspect): string {
  const { growth_bytes: grew, growth_error_bytes: error, growth_seconds: seconds } = suspect;
  const amount = `${signed(grew, bytes)} ± ${bytes(error)} in ${duration(seconds)}`;
  const since = `${clock(suspect.since_nanos / 1e9)}${suspect.is_older ? ' or before' : ''}`;
  if (suspect.until_nanos !== null) return `${amount}, from ${since} to ${clock(suspect.until_nanos / 1e9)}; not since`;
  return `${amount}; growing since ${since}`;
}

interface CardProps extends Pick<Props, 'owners' | 'hides' | 'holding' | 'onShow' | 'onShowTasks'> {
  readonly leaks: Leaks;
  readonly suspect: Suspect;
  readonly words: KindWords | undefined;
}

function Card({ leaks, suspect, words, owners, hides, holding, onShow, onShowTasks }: CardProps) {
  const { stack, named_frame: named } = suspect;
  const frame = stack[named] ?? stack[0];
  return (
    <li class={`suspect is-${suspect.kind}`}>
      <h2>
        <span class="kind">{words?.title ?? suspect.kind}</span> <span class="function">{nameOf(suspect)}</span>
      </h2>
      <Course values={suspect.history_inuse_space} ages={leaks.history_ages_seconds} seconds={leaks.time_nanos / 1e9} />
      {words && (
        <p class="meaning">
          {words.meaning} <strong>Next:</strong> {words.next_step}
        </p>
      )}
      <Figures suspect={suspect} />
      {frame && <Title frame={frame} />}
      <Stack stack={stack.slice(named)} owners={owners} hides={hides} />
      {suspect.stack_count > 1 && <Stacks suspect={suspect} owners={owners} hides={hides} />}
      {suspect.tasks && <TaskWaits tasks={suspect.tasks} of={`${nameOf(suspect)} ${frame ? placeOf(frame) : ''}`} {...{ owners, hides }} />}
      {holding && frame && <HeldBy name={frame.function} frame={frame} {...holding} />}
      <p class="actions">
        <button type="button" onClick={() => onShow(suspect, 'flame')}>
          Show in flame graph
        </button>{' '}
        <button type="button" onClick={() => onShow(suspect, 'table')}>
          Show in table
        </button>{' '}
        {taskOf(suspect) && (
          <button type="button" onClick={() => onShowTasks(taskOf(suspect)!)}>
            Show in threads and tasks
          </button>
        )}
      </p>
    </li>
  );
}

/** Returns the function that the tasks of a suspect run. */
function taskOf({ tasks }: Suspect): string | undefined {
  return tasks?.waits.flatMap(({ stack }) => stack.at(-1) ?? [])[0]?.function;
}

function Figures({ suspect }: { suspect: Suspect }) {
  const { growth_bytes_per_hour: hourly, growth_error_bytes_per_hour: error, full_in_seconds: full, age } = suspect;
  const seconds = suspect.growth_seconds;
  return (
    <dl class="figures">
      <Figure title="grew">{growthOf(suspect)}</Figure>
      {hourly !== null && (
        <Figure title="rate">
          <b>{signed(hourly, (value) => rate(value, seconds))}</b>
          {error !== null && ` ± ${rate(error, seconds)}`}
        </Figure>
      )}
      {full !== null && (
        <Figure title="limit">
          <b>full in about {duration(full)}</b>
        </Figure>
      )}
      <Figure title="in use">
        {bytes(suspect.inuse_space)}{' '}
        {suspect.inuse_space_error_bytes !== null && `± ${bytes(suspect.inuse_space_error_bytes)} `}in {count(suspect.inuse_objects)}{' '}
        objects, {things(suspect.inuse_samples, 'sample')}
      </Figure>
      <Figure title="sure">
        <span title={`It grew by ${suspect.z.toFixed(1)} times what chance would bring`}>{suspect.sureness}</span>
      </Figure>
      {age && (
        <Figure title="age">
          {duration(age.median_seconds)} median, {duration(age.max_seconds)} oldest
        </Figure>
      )}
    </dl>
  );
}

function Figure({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The stacks that are one suspect, the heaviest first. */
function Stacks({ suspect, owners, hides }: Pick<CardProps, 'suspect' | 'owners' | 'hides'>) {
  const { stacks, stack_count: all } = suspect;
  return (
    <details class="of-suspect">
      <summary>{things(all, 'stack')} together</summary>
      <ol>
        {stacks.map(({ stack, share, inuse_space }, index) => (
          <li key={index}>
            <b>{bytes(inuse_space)}</b> ({percent(share, 1)}) <span class="function">{stack[0]?.function}</span>
            {stack[0] && <Title frame={stack[0]} />}
            <Stack stack={stack} owners={owners} hides={hides} />
          </li>
        ))}
      </ol>
      {all > stacks.length && <p class="note">and {things(all - stacks.length, 'stack')} more</p>}
    </details>
  );
}

interface CourseProps {
  readonly values: readonly number[];
  /** How many seconds ago each value was. */
  readonly ages: readonly number[];
  /** When the age was 0. */
  readonly seconds: number;
}

/** Draws how the memory in use went, from 0 to its maximum. It is a picture of what the figures say. */
function Course({ values, ages, seconds }: CourseProps) {
  const most = Math.max(...values, 1);
  const oldest = ages[0] || 1;
  const points = values.map((value, index) => `${100 - (100 * (ages[index] ?? 0)) / oldest},${30 - (30 * value) / most}`);
  return (
    <figure class="course" aria-hidden="true">
      <svg viewBox="0 -1 100 32" preserveAspectRatio="none">
        <polyline points={points.join(' ')} />
      </svg>
      <figcaption>
        <span>{clock(seconds - oldest)}</span>
        <span>to {bytes(most)}</span>
        <span>{clock(seconds)}</span>
      </figcaption>
    </figure>
  );
}

/** What each kind means, and what to do about it. */
function Kinds({ kinds }: { kinds: readonly KindWords[] }) {
  return (
    <details class="kinds">
      <summary>What the kinds mean, and what to do next</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">kind</th>
            <th scope="col">what it means</th>
            <th scope="col">what to do next</th>
          </tr>
        </thead>
        <tbody>
          {kinds.map(({ kind, title, meaning, next_step }) => (
            <tr key={kind}>
              <th scope="row">{title}</th>
              <td>{meaning}</td>
              <td>{next_step}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
