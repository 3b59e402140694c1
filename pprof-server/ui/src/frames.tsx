// This shows a stack as a list: function, file and line, and whether the function was compiled into its caller.
//
// The table and the suspects use it. Their titles name the first function already.

import type { Frame } from './answers';
import { shortPlace } from './names';
import { isPlumbing } from './plumbing';
import { placeOf } from './tree';
import { count } from './units';

interface Props {
  /** The leaf is the first. */
  readonly stack: readonly Frame[];
  /** What finds the callers to hide. With `null`, none are hidden. */
  readonly plumbing: RegExp | null;
  /** How many callers to show. */
  readonly most: number;
}

export function Frames({ stack, plumbing, most }: Props) {
  const callers = stack.slice(1);
  const shown = plumbing ? callers.filter((frame) => !isPlumbing(plumbing, frame.function, frame.file)) : callers;
  const hidden = callers.length - shown.length;
  return (
    <ol class="frames">
      {stack.slice(0, 1).map((frame) => (
        <li key="leaf">
          <At frame={frame} />
        </li>
      ))}
      {shown.slice(0, most).map((frame, index) => (
        <li key={index}>
          <span class="function">{frame.function}</span>
          <At frame={frame} />
        </li>
      ))}
      {most === Infinity && hidden > 0 && <li class="hidden">{count(hidden)} callers in std and runtime are hidden</li>}
    </ol>
  );
}

function At({ frame }: { frame: Frame }) {
  return (
    <>
      {frame.is_inlined && <small class="inlined">inlined</small>}
      <span class="file" title={placeOf(frame)}>
        {shortPlace(placeOf(frame)) || 'no file known'}
      </span>
    </>
  );
}
