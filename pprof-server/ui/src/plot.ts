// uPlot draws the curves of the time line: memory in use with its error band, resident memory, and the limit.
//
// `timeline` calls this. The colours come from the style sheet, so the plot is drawn anew when dark becomes light.

import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Recorded } from './answers';
import { bytes, clock } from './units';

const HEIGHT_PX = 170;
/** A limit further above the curves would press them flat, so it is told in words instead. */
const LARGEST_LIMIT_RATIO = 3;

/** This is where the plot is within the figure, in CSS pixels. */
export interface Frame {
  left: number;
  width: number;
  top: number;
  height: number;
}

/** Returns the first and the last time of the plot. A single moment has a width too. */
export function ends(first: number, last: number): [number, number] {
  return last > first ? [first, last] : [first - 30, last + 30];
}

/** Keeps a plot of these moments in the element that it returns a reference to. */
export function usePlot(moments: readonly Recorded[], times: readonly number[], onFrame: (frame: Frame) => void) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useMemo(() => columns(moments, times), [moments, times]);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = holder.current!;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, onFrame), latest.current, element);
    };
    draw();
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      dark.removeEventListener('change', draw);
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [onFrame]);
  useEffect(() => plot.current?.setData(data), [data]);
  return holder;
}

/** Returns the columns that uPlot draws: times, memory in use, the upper and the lower end of its band, resident memory, and the limit. */
function columns(moments: readonly Recorded[], times: readonly number[]): uPlot.AlignedData {
  const column = (of: (moment: Recorded) => number | null) => moments.map(of);
  const highest = Math.max(...moments.map((moment) => Math.max(moment.inuse_space, moment.rss_bytes ?? 0)));
  const band = (sign: number) => column((of) => Math.max(0, of.inuse_space + sign * (of.inuse_space_error_bytes ?? 0)));
  return [
    [...times],
    column((of) => of.inuse_space),
    band(1),
    band(-1),
    column((of) => of.rss_bytes),
    column((of) => ((of.memory_limit_bytes ?? Infinity) <= LARGEST_LIMIT_RATIO * highest ? of.memory_limit_bytes : null)),
  ];
}

/** Formats times as finely as the steps between them need. */
function tickLabel(seconds: number, step: number): string {
  const [day, time] = [new Date(seconds * 1000).toDateString().slice(4, 10), clock(seconds, seconds)];
  if (step >= 86_400) return day;
  return step >= 60 ? time.slice(0, 5) : time;
}

function options(element: HTMLElement, onFrame: (frame: Frame) => void): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { stroke: colour('line'), width: 1 },
    font: `11px ${style.fontFamily}`,
  };
  const tellFrame = ({ over }: uPlot) =>
    onFrame({ left: over.offsetLeft, top: over.offsetTop, width: over.clientWidth, height: over.clientHeight });
  const hidden = { show: true, width: 0, points: { show: false } };
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    cursor: { show: false },
    legend: { show: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: (_, least, most) => ends(least, most) },
      y: { range: (_, __, most) => [0, Math.max(most, 1024) * 1.08] },
    },
    padding: [10, 8, 0, 0],
    axes: [
      {
        ...axis,
        size: 28,
        space: 90,
        values: (_, ticks, __, ___, step) => ticks.map((tick) => tickLabel(tick, step)),
      },
      {
        ...axis,
        size: 64,
        values: (_, ticks) => ticks.map((tick) => bytes(tick)),
        // These are round numbers in binary units.
        incrs: Array.from({ length: 48 }, (_, power) => 2 ** power),
      },
    ],
    series: [
      {},
      { stroke: colour('in-use'), width: 2, points: { show: false } },
      hidden,
      hidden,
      { stroke: colour('resident'), width: 1.5, points: { show: false } },
      { stroke: colour('limit'), width: 1.5, dash: [6, 4], points: { show: false } },
    ],
    bands: [{ series: [2, 3], fill: colour('band') }],
    hooks: { draw: [tellFrame] },
  };
}
