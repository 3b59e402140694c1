// The time line shows the heap in use with its error band, resident memory and the limit, and the two moments that are compared.
//
// `plot` draws the curves. Above them lie two handles, which are sliders for the keyboard too. A click compares that moment
// with now, and a drag compares its two ends.

import { useMemo, useRef, useState } from 'preact/hooks';
import { curveOf, inWords } from './curve';
import { nearest } from './moments';
import { ends, usePlot, type Frame } from './plot';
import { duration } from './units';
import type { History } from './answers';

const LEAST_DRAG_PX = 5;

interface Props {
  readonly history: History;
  /** Seconds since 1970 UTC. With `null`, `from` is compared with nothing, and `to` is now. */
  readonly from: number | null;
  readonly to: number | null;
  readonly onChoose: (from: number | null, to: number | null) => void;
}

/** The ends of the time line, wherever they move to: what is older than every record, and what is not yet recorded. */
const NOTHING = -Infinity;
const NOW = Infinity;

export function Timeline({ history, from, to, onChoose }: Props) {
  const moments = useMemo(() => [...history.records, history.now], [history]);
  const times = useMemo(() => moments.map(({ time_nanos }) => time_nanos / 1e9), [moments]);
  const [frame, setFrame] = useState<Frame | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null); // Seconds: indices move with each record.
  const last = times.length - 1;
  const curve = useMemo(() => curveOf(history), [history]);
  const [start, end] = ends(Math.min(times[0]!, curve.times[0]!), times[last]!);
  const holder = usePlot(curve, start, end, setFrame);
  const indexOf = (seconds: number) => (seconds === NOTHING ? -1 : seconds === NOW ? last : nearest(times, seconds));
  const secondsOf = (index: number) => (index < 0 ? NOTHING : index >= last ? NOW : times[index]!);
  const chosen = { from: from ?? NOTHING, to: to ?? NOW };
  const isRecorded = history.records.length > 0;

  const choose = (one: number, other: number) => {
    const [first, second] = one <= other ? [one, other] : [other, one];
    // There is nothing between now and now, so the last record is taken.
    onChoose(first === NOTHING ? null : first === NOW ? times[last - 1]! : first, second === NOW ? null : second);
  };
  const timeAt = (event: PointerEvent, plot: Element) => {
    const box = plot.getBoundingClientRect();
    return start + ((event.clientX - box.left) / box.width) * (end - start);
  };
  const at = (event: PointerEvent, plot: Element) => {
    return secondsOf(indexOf(timeAt(event, plot)));
  };
  const percentAt = (seconds: number) => (100 * (seconds - start)) / (end - start);
  const exactly = (seconds: number) => percentAt(Math.max(start, Math.min(end, seconds)));
  const shown = { from: indexOf((drag ?? chosen).from), to: indexOf((drag ?? chosen).to) };
  /** A mark lies between records. One that is older than all of them lies at their edge. */
  const percents = { from: exactly((drag ?? chosen).from), to: exactly((drag ?? chosen).to) };
  /** What is read is a point, of which there are more than records. */
  const seconds = pointed ?? (shown.to < 0 ? times[0]! : times[shown.to]!);
  const read = nearest(curve.times, seconds);
  const pressed = useRef<{ seconds: number; x: number } | null>(null);

  const slider = (end: 'from' | 'to') => {
    const index = shown[end];
    const [least, most] = end === 'from' ? [-1, last - 1] : [0, last];
    const move = (to: number) => {
      const index = Math.max(least, Math.min(most, to));
      // The other end stays, unless this one pushes it on.
      if (end === 'from') choose(secondsOf(index), index < shown.to ? chosen.to : secondsOf(index + 1));
      else choose(index > shown.from ? chosen.from : secondsOf(index - 1), secondsOf(index));
    };
    const steps: Record<string, () => void> = {
      ArrowLeft: () => move(index - 1),
      ArrowRight: () => move(index + 1),
      ArrowDown: () => move(index - 1),
      ArrowUp: () => move(index + 1),
      PageDown: () => move(index - 10),
      PageUp: () => move(index + 10),
      Home: () => move(least),
      End: () => move(most),
    };
    return (
      <div
        role="slider"
        tabIndex={0}
        aria-label={end === 'from' ? 'Compare from' : 'to'}
        aria-valuemin={least}
        aria-valuemax={Math.max(most, least)}
        aria-valuenow={index}
        aria-valuetext={index < 0 ? 'all that is in use, with no comparison' : inWords(curve, nearest(curve.times, times[index]!), index === last)}
        class={`handle ${end} ${index < 0 ? 'is-off' : ''} ${side(percents[end], end === 'to')}`}
        style={{ left: `${percents[end]}%` }}
        onPointerDown={(event) => {
          event.stopPropagation();
          (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          if (!(event.currentTarget as HTMLElement).hasPointerCapture(event.pointerId)) return;
          event.stopPropagation();
          const to = at(event, (event.currentTarget as HTMLElement).parentElement!);
          setDrag({ ...chosen, [end]: to });
        }}
        onPointerUp={(event) => {
          event.stopPropagation();
          if (drag) choose(drag.from, drag.to);
          setDrag(null);
        }}
        onKeyDown={(event) => {
          const step = event.ctrlKey || event.metaKey || event.altKey ? undefined : steps[event.key];
          if (!step) return;
          event.preventDefault();
          step();
        }}
      >
        <span>{end === 'from' ? (index < 0 ? '' : 'from') : index === last ? 'now' : 'to'}</span>
      </div>
    );
  };

  return (
    <figure class="timeline">
      <div class="plot" ref={holder}>
        {frame && (
          <div
            class="over"
            style={{ left: `${frame.left}px`, width: `${frame.width}px`, top: `${frame.top}px`, height: `${frame.height}px` }}
            onPointerDown={(event) => {
              if (!isRecorded || event.button !== 0) return;
              (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
              pressed.current = { seconds: at(event, event.currentTarget), x: event.clientX };
            }}
            onPointerMove={(event) => {
              setPointed(Math.min(end, Math.max(start, timeAt(event, event.currentTarget))));
              const from = pressed.current;
              if (from && Math.abs(event.clientX - from.x) >= LEAST_DRAG_PX) {
                setDrag({ from: from.seconds, to: at(event, event.currentTarget) });
              }
            }}
            onPointerUp={(event) => {
              const start = pressed.current;
              pressed.current = null;
              setDrag(null);
              if (!start) return;
              const end = at(event, event.currentTarget);
              choose(start.seconds, drag && start.seconds !== end ? end : NOW);
            }}
            onPointerLeave={() => setPointed(null)}
            onPointerCancel={() => {
              pressed.current = null;
              setDrag(null);
            }}
          >
            {isRecorded && (
              <div
                class="chosen"
                style={{
                  left: `${Math.min(percents.from, percents.to)}%`,
                  width: `${shown.from < 0 ? 0 : Math.abs(percents.to - percents.from)}%`,
                }}
              />
            )}
            {history.marks
              .filter(({ time_nanos }) => time_nanos / 1e9 >= start && time_nanos / 1e9 <= end)
              .map(({ name, time_nanos }) => (
                <div
                  key={name}
                  class={`mark ${side(percentAt(time_nanos / 1e9), false)}`}
                  style={{ left: `${percentAt(time_nanos / 1e9)}%` }}
                >
                  <span>{name}</span>
                </div>
              ))}
            {pointed !== null && <div class="pointed" style={{ left: `${percentAt(pointed)}%` }} />}
            {isRecorded && slider('from')}
            {isRecorded && slider('to')}
          </div>
        )}
      </div>
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

/** Returns the side of a line at so many percent on which its label has room. */
function side(percent: number, prefersLeft: boolean): string {
  return percent > 85 || (prefersLeft && percent > 15) ? 'label-left' : 'label-right';
}
