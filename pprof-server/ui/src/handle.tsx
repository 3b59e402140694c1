// A handle of the time line is one of the two moments that are compared. It is dragged, and it is a slider for the keyboard.

import { inWords, type Curve } from './curve';
import { nearest } from './moments';
import { sideAt, type Pair, type Ruler } from './ruler';

interface Props {
  readonly of: keyof Pair;
  readonly ruler: Ruler;
  readonly curve: Curve;
  /** The moments that are compared. */
  readonly chosen: Pair;
  /** The moments while they are dragged; `null` if they are not. */
  readonly drag: Pair | null;
  readonly onDrag: (drag: Pair | null) => void;
  readonly onChoose: (one: number, other: number) => void;
}

export function Handle(props: Props) {
  const { of, ruler, curve, chosen, drag, onDrag, onChoose } = props;
  const { last, times } = ruler;
  const seconds = (drag ?? chosen)[of];
  const index = ruler.indexOf(seconds);
  const percent = ruler.percentAt(seconds);
  const [least, most] = ends(of, last);
  const steps = stepsOf(props, index);
  return (
    <div
      role="slider"
      tabIndex={0}
      aria-label={of === 'from' ? 'Compare from' : 'to'}
      aria-valuemin={least}
      aria-valuemax={Math.max(most, least)}
      aria-valuenow={index}
      aria-valuetext={
        index < 0 ? 'all that is in use, with no comparison' : inWords(curve, nearest(curve.times, times[index]!), index === last)
      }
      class={`handle ${of} ${index < 0 ? 'is-off' : ''} ${sideAt(percent, of === 'to')}`}
      style={{ left: `${percent}%` }}
      onPointerDown={(event) => {
        event.stopPropagation();
        (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        const handle = event.currentTarget as HTMLElement;
        if (!handle.hasPointerCapture(event.pointerId)) return;
        event.stopPropagation();
        onDrag({ ...chosen, [of]: ruler.recordAt(event, handle.parentElement!) });
      }}
      onPointerUp={(event) => {
        event.stopPropagation();
        if (drag) onChoose(drag.from, drag.to);
        onDrag(null);
      }}
      onKeyDown={(event) => {
        const step = event.ctrlKey || event.metaKey || event.altKey ? undefined : steps[event.key];
        if (!step) return;
        event.preventDefault();
        step();
      }}
    >
      <span>{of === 'from' ? (index < 0 ? '' : 'from') : index === last ? 'now' : 'to'}</span>
    </div>
  );
}

/** Returns the indices between which a handle moves. */
function ends(of: keyof Pair, last: number): [least: number, most: number] {
  return of === 'from' ? [-1, last - 1] : [0, last];
}

/** Returns what each key does with a handle that is at `index`. */
function stepsOf({ of, ruler, chosen, drag, onChoose }: Props, index: number): Record<string, () => void> {
  const { indexOf, secondsOf } = ruler;
  const [least, most] = ends(of, ruler.last);
  const shown = drag ?? chosen;
  const move = (to: number) => {
    const index = Math.max(least, Math.min(most, to));
    // The other end stays, unless this one pushes it on.
    if (of === 'from') onChoose(secondsOf(index), index < indexOf(shown.to) ? chosen.to : secondsOf(index + 1));
    else onChoose(index > indexOf(shown.from) ? chosen.from : secondsOf(index - 1), secondsOf(index));
  };
  return {
    ArrowLeft: () => move(index - 1),
    ArrowRight: () => move(index + 1),
    ArrowDown: () => move(index - 1),
    ArrowUp: () => move(index + 1),
    PageDown: () => move(index - 10),
    PageUp: () => move(index + 10),
    Home: () => move(least),
    End: () => move(most),
  };
}
