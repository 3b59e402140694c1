// This is what is below the tabs of every profile: its files, and the command that shows the same from them.

import { useMemo } from 'preact/hooks';
import { command, shortened } from './command';
import { Downloads } from './downloads';
import type { Page } from './page';
import type { Shown } from './shown';

interface Props extends Pick<Page, 'view' | 'tab' | 'owners'> {
  readonly current: Shown;
  /** Saves the page as a file that needs no server; `null` if it is such a file. */
  readonly onKeep: (() => void) | null;
}

export function Below({ current, view, tab, owners, onKeep }: Props) {
  const hidden = useMemo(() => {
    const pattern = owners.pattern(view.hides);
    return pattern && shortened(pattern, new Set(current.profile.stacks.flatMap(({ frames }) => frames)));
  }, [current, owners, view.hides]);
  const said = command({ ...view, before: current.before?.name ?? null, after: current.after.name, tab, hidden });
  return <Downloads before={current.before} after={current.after} command={said} onKeep={onKeep} />;
}
