// Where the tasks of a suspect wait: the line to mend, how many, how old, and the chain of what they wait for behind it.

import type { SuspectTasks, TaskWait } from './answers';
import { Stack, Title } from './frames';
import { shortName } from './names';
import type { Owners } from './plumbing';
import { clock, count, duration, signed, things } from './units';
import type { Hides } from './view';

interface Props {
  readonly tasks: SuspectTasks;
  /** What tells this suspect from others: its function and line. */
  readonly of: string;
  readonly owners: Owners;
  readonly hides: Hides;
}

/** What stands behind the name of the function of a task that has ended. The server writes it so in all formats. */
const ENDED = ' [ended]';

export function TaskWaits({ tasks, of, owners, hides }: Props) {
  const { waits, wait_count: all } = tasks;
  return (
    <section class="task-waits" aria-label={`Tasks of ${of}`}>
      <p>{tasksInWords(tasks)}</p>
      <ul>
        {waits.map((wait, index) => (
          <Wait key={index} {...{ wait, owners, hides }} />
        ))}
      </ul>
      {all > waits.length && <p class="note">They wait at {things(all - waits.length, 'more place')}.</p>}
    </section>
  );
}

/** Says how many tasks a suspect has, how that changed, and when it was looked at. */
export function tasksInWords({ count: many, error, samples, growth, growth_error, looked_at_nanos: at }: SuspectTasks): string {
  const change = growth === null ? '' : `, ${signed(growth, count)} ± ${count(growth_error ?? 0)} since it grows`;
  return `It has ${count(many)} ± ${count(error)} tasks by ${things(samples, 'sample')}${change}. This is where they were at ${clock(at / 1e9)}:`;
}

/** Where some tasks wait. */
export function Wait({ wait, owners, hides }: { wait: TaskWait } & Pick<Props, 'owners' | 'hides'>) {
  const { count: many, error, age, stack } = wait;
  const own = Math.max(0, stack.findIndex((frame) => owners.of(frame) === 'own'));
  const line = stack[own];
  return (
    <li>
      <b>
        {count(many)} ± {count(error)}
      </b>{' '}
      {line?.function.endsWith(ENDED) ? (
        <>
          have ended, and somebody holds their handles: <span class="function">{line.function.slice(0, -ENDED.length)}</span>
        </>
      ) : line ? (
        <>
          wait at <span class="function">{line.function}</span> <Title frame={line} />
          {own > 0 && ` in ${shortName(stack[0]!.function)}`}
        </>
      ) : (
        'wait at a line that is not known; the notes below say why'
      )}
      {age && `, ${duration(age.median_seconds)} old (median), ${duration(age.max_seconds)} the oldest`}
      {stack.length > 1 && (
        <details>
          <summary>{things(stack.length, 'future')} wait for one another</summary>
          <Stack stack={stack} owners={owners} hides={hides} isWhole hasLeaf />
        </details>
      )}
    </li>
  );
}
