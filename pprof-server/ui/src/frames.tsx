// This shows a stack as a list: function, file and line, and whether the function was compiled into its caller.
//
// The table and the suspects use it. Their titles name the first function already.

import type { Frame } from './answers';
import { Copy } from './copy';
import { placeOf, shortPlace } from './names';
import { isHidden, type Owners } from './plumbing';
import { things } from './units';
import type { Hides } from './view';

/** As many callers are shown at once. */
const CALLERS = 2;

interface Props {
  /** The leaf is the first. */
  readonly stack: readonly Frame[];
  readonly owners: Owners;
  readonly hides: Hides;
  /** Whether all callers are shown at once. Else they are behind a disclosure. */
  readonly isWhole?: boolean;
  /** Whether the leaf is shown too. Else the title names it. */
  readonly hasLeaf?: boolean;
}

/** The callers on a stack, without those that are left out. */
export function Stack({ stack, owners, hides, isWhole = false, hasLeaf = false }: Props) {
  const hidden = owners.hidden(hides);
  const left = hidden ? stack.filter((frame) => !isHidden(hidden, frame.function, frame.file)) : stack;
  const callers = (left.length > 0 ? left : stack).slice(hasLeaf ? 0 : 1);
  const leftOut = left.length > 0 ? stack.length - left.length : 0;
  const most = isWhole ? callers.length : CALLERS;
  return (
    <>
      <List frames={callers.slice(0, most)} owners={owners} leftOut={callers.length > most ? 0 : leftOut} />
      {callers.length > most && (
        <details>
          <summary>and {things(callers.length - most, hasLeaf ? 'frame' : 'caller')} more</summary>
          <List frames={callers.slice(most)} owners={owners} leftOut={leftOut} />
        </details>
      )}
    </>
  );
}

function List({ frames, owners, leftOut }: { frames: readonly Frame[]; owners: Owners; leftOut: number }) {
  return (
    <ol class="frames">
      {frames.map((frame, index) => (
        <li key={index} class={`is-${owners.of(frame)}`}>
          <span class="function">{frame.function}</span>
          <Title frame={frame} />
        </li>
      ))}
      {leftOut > 0 && <li class="hidden">{things(leftOut, 'frame')} left out</li>}
    </ol>
  );
}

/** What is told of a frame beside its name. */
export function Title({ frame, canCopy = true }: { frame: Frame; canCopy?: boolean }) {
  const place = placeOf(frame);
  return (
    <>
      {frame.is_inlined && <small class="inlined">inlined</small>}
      <span class="file" title={place}>
        {shortPlace(place) || 'no file known'}
      </span>
      {canCopy && place && <Copy text={place} label={`Copy ${place}`} />}
    </>
  );
}
