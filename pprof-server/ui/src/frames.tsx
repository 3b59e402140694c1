// A stack as a list: function, file and line, and whether it was compiled into its caller.
//
// Called by the table and by the suspects, whose titles name the first function already.

import { isPlumbing } from './hide';
import { shortPlace } from './names';
import type { Place } from './server';
import { placeOf } from './tree';
import { count } from './units';

interface Props {
  /** Leaf first. */
  readonly stack: readonly Place[];
  readonly hidesStd: boolean;
  /** How many callers to show. */
  readonly most: number;
}

export function Frames({ stack, hidesStd, most }: Props) {
  const callers = stack.slice(1);
  const shown = hidesStd ? callers.filter((place) => !isPlumbing(place.function, place.file)) : callers;
  const hidden = callers.length - shown.length;
  return (
    <ol class="frames">
      {stack.slice(0, 1).map((place) => (
        <li key="leaf">
          <At place={place} />
        </li>
      ))}
      {shown.slice(0, most).map((place, index) => (
        <li key={index}>
          <span class="function">{place.function}</span>
          <At place={place} />
        </li>
      ))}
      {most === Infinity && hidden > 0 && <li class="hidden">{count(hidden)} callers in std and runtime are hidden</li>}
    </ol>
  );
}

function At({ place }: { place: Place }) {
  return (
    <>
      {place.is_inlined && <small class="inlined">inlined</small>}
      <span class="file" title={placeOf(place)}>
        {shortPlace(placeOf(place)) || 'no file known'}
      </span>
    </>
  );
}
