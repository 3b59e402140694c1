// The head of the page: the program, its key facts, and whether they are asked for again and again.

import type { History } from './answers';
import { Facts } from './facts';
import { Retention } from './retention';
import { SUBJECT_TITLES, Subjects } from './subjects';
import type { View } from './view';

interface Props {
  readonly view: View;
  readonly program: string;
  readonly history: History;
  /** Whether the program is asked, and can be asked anew. */
  readonly isLive: boolean;
  readonly isPaused: boolean;
  readonly onPause: () => void;
  readonly onRefresh: () => void;
}

export function Header({ view, program, history, isLive, isPaused, onPause, onRefresh }: Props) {
  return (
    <header>
      <h1>
        {SUBJECT_TITLES[view.subject]} <small>{program}</small>
      </h1>
      {isLive && <Subjects view={view} />}
      {isLive && (
        <div class="live">
          <button type="button" aria-pressed={isPaused} onClick={onPause}>
            {isPaused ? 'Resume' : 'Pause'}
          </button>
          <button type="button" onClick={onRefresh}>
            Refresh
          </button>
        </div>
      )}
      {view.subject === 'heap' && (
        <>
          <Facts history={history} />
          <Retention history={history} canAsk={isLive} />
        </>
      )}
    </header>
  );
}
