// The time line shows the heap in use with its error band, resident memory and the limit, and the two moments that are compared.
//
// `plot` draws the curves. Above them lie two handles, which are sliders for the keyboard too. A click compares that moment
// with now, and a drag compares its two ends.

import type { ComponentChildren } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import type { History } from './answers';
import { curveOf, inWords, type Curve } from './curve';
import { Handle } from './handle';
import { nearest } from './moments';
import { ends, usePlot, type Frame } from './plot';
import { NOTHING, NOW, rulerOf, sideAt, type Pair, type Ruler } from './ruler';
import { duration } from './units';

const LEAST_DRAG_PX = 5;

interface Props {
  readonly history: History;
  /** Seconds since 1970 UTC. With `null`, `from` is compared with nothing, and `to` is now. */
  readonly from: number | null;
  readonly to: number | null;
  readonly onChoose: (from: number | null, to: number | null) => void;
}

export function Timeline({ history, from, to, onChoose }: Props) {
  const moments = useMemo(() => [...history.records, history.now], [history]);
  const times = useMemo(() => moments.map(({ time_nanos }) => time_nanos / 1e9), [moments]);
  const [frame, setFrame] = useState<Frame | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const [drag, setDrag] = useState<Pair | null>(null);
  const curve = useMemo(() => curveOf(history), [history]);
  const [start, end] = ends(Math.min(times[0]!, curve.times[0]!), times.at(-1)!);
  const holder = usePlot(curve, start, end, setFrame);
  const ruler = rulerOf(times, start, end);
  const { indexOf } = ruler;
  const chosen = { from: from ?? NOTHING, to: to ?? NOW };
  const isRecorded = history.records.length > 0;

  const choose = (one: number, other: number) => {
    const [first, second] = one <= other ? [one, other] : [other, one];
    // There is nothing between now and now, so the last record is taken.
    const before = first === NOW ? times[ruler.last - 1]! : first;
    onChoose(before === NOTHING ? null : before, second === NOW ? null : second);
  };
  /** What is read is a point, of which there are more than records. */
  const seconds = pointed ?? times[Math.max(0, indexOf((drag ?? chosen).to))]!;
  return (
    <figure class="timeline">
      <div class="plot" ref={holder}>
        {frame && (
          <Over {...{ frame, ruler, drag, isRecorded }} onDrag={setDrag} onPoint={setPointed} onChoose={choose}>
            {isRecorded && <Between ruler={ruler} chosen={drag ?? chosen} />}
            <Marks marks={history.marks} ruler={ruler} />
            {pointed !== null && <div class="pointed" style={{ left: `${ruler.percentAt(pointed)}%` }} />}
            {isRecorded && <Handle of="from" {...{ ruler, curve, chosen, drag }} onDrag={setDrag} onChoose={choose} />}
            {isRecorded && <Handle of="to" {...{ ruler, curve, chosen, drag }} onDrag={setDrag} onChoose={choose} />}
          </Over>
        )}
      </div>
      <Caption history={history} curve={curve} read={nearest(curve.times, seconds)} />
      {!isRecorded && (
        <p class="note">
          {history.period_seconds === 0
            ? 'The recorder is off, so there is no past to look at: only now, and what changes from now on.'
            : `Nothing is recorded yet: the first record comes within ${duration(history.pause_seconds)}.`}
        </p>
      )}
    </figure>
  );
}

interface OverProps {
  readonly frame: Frame;
  readonly ruler: Ruler;
  readonly drag: Pair | null;
  readonly isRecorded: boolean;
  readonly onDrag: (drag: Pair | null) => void;
  readonly onPoint: (seconds: number | null) => void;
  readonly onChoose: (one: number, other: number) => void;
  readonly children: ComponentChildren;
}

/** What lies over the curves, and chooses moments by a click or a drag. */
function Over({ frame, ruler, drag, isRecorded, onDrag, onPoint, onChoose, children }: OverProps) {
  const pressed = useRef<{ seconds: number; x: number } | null>(null);
  return (
    <div
      class="over"
      style={{ left: `${frame.left}px`, width: `${frame.width}px`, top: `${frame.top}px`, height: `${frame.height}px` }}
      onPointerDown={(event) => {
        if (!isRecorded || event.button !== 0) return;
        (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
        pressed.current = { seconds: ruler.recordAt(event, event.currentTarget), x: event.clientX };
      }}
      onPointerMove={(event) => {
        onPoint(Math.min(ruler.end, Math.max(ruler.start, ruler.timeAt(event, event.currentTarget))));
        const from = pressed.current;
        if (from && Math.abs(event.clientX - from.x) >= LEAST_DRAG_PX) {
          onDrag({ from: from.seconds, to: ruler.recordAt(event, event.currentTarget) });
        }
      }}
      onPointerUp={(event) => {
        const start = pressed.current;
        pressed.current = null;
        onDrag(null);
        if (!start) return;
        const end = ruler.recordAt(event, event.currentTarget);
        onChoose(start.seconds, drag && start.seconds !== end ? end : NOW);
      }}
      onPointerLeave={() => onPoint(null)}
      onPointerCancel={() => {
        pressed.current = null;
        onDrag(null);
      }}
    >
      {children}
    </div>
  );
}

/** The time between the two moments that are compared. */
function Between({ ruler, chosen }: { ruler: Ruler; chosen: Pair }) {
  const [from, to] = [ruler.percentAt(chosen.from), ruler.percentAt(chosen.to)];
  const width = ruler.indexOf(chosen.from) < 0 ? 0 : Math.abs(to - from);
  return <div class="chosen" style={{ left: `${Math.min(from, to)}%`, width: `${width}%` }} />;
}

function Marks({ marks, ruler }: { marks: History['marks']; ruler: Ruler }) {
  const { start, end, percentAt } = ruler;
  const placed = marks.map(({ name, time_nanos }) => ({ name, seconds: time_nanos / 1e9 }));
  return (
    <>
      {placed
        .filter(({ seconds }) => seconds >= start && seconds <= end)
        .map(({ name, seconds }) => (
          <div key={name} class={`mark ${sideAt(percentAt(seconds), false)}`} style={{ left: `${percentAt(seconds)}%` }}>
            <span>{name}</span>
          </div>
        ))}
    </>
  );
}

/** What the curves are, and what they are at the point `read`. */
function Caption({ history, curve, read }: { history: History; curve: Curve; read: number }) {
  return (
    <figcaption>
      <span class="key in-use">in use ± one standard error</span>
      <span class="key resident">resident (RSS)</span>
      {history.now.memory_limit_bytes !== null && (
        <>
          <span class="key group">control group</span>
          <span class="key limit">its limit</span>
        </>
      )}
      <span class="reading">{inWords(curve, read, read === curve.times.length - 1)}</span>
    </figcaption>
  );
}
