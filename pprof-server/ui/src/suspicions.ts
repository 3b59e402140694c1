// This tells which of the places where tasks wait belong to a suspect.

import type { Leaks } from './answers';
import { keyOf } from './lines';

/** Why a place is suspected. */
export interface Suspicion {
  /** What the server calls its kind, such as "leak". */
  readonly title: string;
  /** The surest kind has the greatest rank. */
  readonly rank: number;
}

/** Returns what is suspected of the stacks of tasks, by `keyOf` them. */
export function suspicionsOf(leaks: Leaks | null): ReadonlyMap<string, Suspicion> {
  const found = new Map<string, Suspicion>();
  for (const { kind, tasks } of leaks?.suspects ?? []) {
    const place = leaks!.kinds.findIndex((words) => words.kind === kind);
    const suspicion = { title: leaks!.kinds[place]?.title ?? kind, rank: leaks!.kinds.length - place };
    for (const { stack } of tasks?.waits ?? []) {
      const key = keyOf(stack);
      if ((found.get(key)?.rank ?? 0) < suspicion.rank) found.set(key, suspicion);
    }
  }
  return found;
}
