// The tasks that nobody can wake, and where they wait. Memory is searched for them when the user asks for it.

import type { Profile, ProfileRow, TaskWait } from './answers';
import type { Asked } from './asked';
import type { Owners } from './plumbing';
import { Wait } from './task_waits';
import { clock, count, things } from './units';
import type { Hides } from './view';

/** There is one question to ask. */
const ALL = '';
/** As many places are shown. */
const MOST_PLACES = 10;

interface Props {
  readonly asked: Asked<Profile>;
  readonly owners: Owners;
  readonly hides: Hides;
}

export function Leaked({ asked, owners, hides }: Props) {
  const { answer, isLoading, error } = asked.to(ALL);
  return (
    <section class="task-waits leaked" aria-label="Tasks that nobody can wake">
      <p>
        <button
          type="button"
          disabled={isLoading}
          title="Search the program's memory for what could wake each task that waits"
          onClick={() => asked.ask(ALL)}
        >
          {answer ? 'Search again' : 'Which tasks can nobody wake?'}
        </button>{' '}
        <span role="status">{isLoading ? 'Searching memory…' : answer && leakedInWords(answer)}</span>
        {error && (
          <span class="error" role="alert">
            {' '}
            {error}
          </span>
        )}
      </p>
      {answer && (
        <>
          <ul>
            {answer.rows.slice(0, MOST_PLACES).map((row, index) => (
              <Wait key={index} wait={waitOf(row)} {...{ owners, hides }} />
            ))}
          </ul>
          {answer.rows.length > MOST_PLACES && <p class="note">They wait at {things(answer.rows.length - MOST_PLACES, 'more place')}.</p>}
          <details>
            <summary>Who could wake the others, and how sure this is</summary>
            <ul>
              {answer.notes.map((note) => (
                <li key={note}>{note.replace(/^goroutineleak: /, '')}</li>
              ))}
            </ul>
          </details>
        </>
      )}
    </section>
  );
}

/** Says how many tasks nobody can wake. */
export function leakedInWords({ total, total_errors: errors, time_nanos: at }: Pick<Profile, 'total' | 'total_errors' | 'time_nanos'>): string {
  const many = total.goroutineleak ?? 0;
  const when = `At ${clock(at / 1e9)},`;
  if (many === 0) return `${when} no task is known that nobody can wake.`;
  return `${when} there are ${count(many)} ± ${count(errors.goroutineleak ?? 0)} tasks that nobody can wake. They wait for ever:`;
}

function waitOf({ values, errors, age, stack }: ProfileRow): TaskWait {
  return { count: values.goroutineleak ?? 0, error: errors.goroutineleak ?? 0, samples: values.samples ?? 0, age, spawned_by: '', stack };
}
