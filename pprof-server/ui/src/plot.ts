// uPlot draws the curves of the time line: memory in use with its error band, resident memory, what the control group uses, and
// its limit.
//
// `timeline` calls this. The colours come from the style sheet, so the plot is drawn anew when dark becomes light.

import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Curve } from './curve';
import { bytes, clock } from './units';

const HEIGHT_PX = 170;
/** A limit further above the curves would press them flat, so it is told in words instead. */
const LARGEST_LIMIT_RATIO = 3;

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The seconds between two labels of the axis of time. */
export const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 5, 10, 30, 100].map((days) => days * DAY),
];

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

/** Keeps a plot from `start` to `end` in the element that it returns a reference to. */
export function usePlot(curve: Curve, start: number, end: number, onFrame: (frame: Frame) => void) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useMemo(() => columns(curve), [curve]);
  const range = useRef<[number, number]>([start, end]);
  range.current = [start, end];
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = holder.current!;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, () => range.current, onFrame), latest.current, element);
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
  useEffect(() => plot.current?.setData(data), [data, start, end]);
  return holder;
}

/**
 * Returns the columns that uPlot draws: times, memory in use, the upper and the lower end of its band, resident memory, what the
 * control group uses, and its limit.
 */
function columns({ times, inuse, error, resident, usage, limit }: Curve): uPlot.AlignedData {
  const highest = [...inuse, ...resident].reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  const band = (sign: number) => inuse.map((value, index) => value && Math.max(0, value + sign * (error[index] ?? 0)));
  // Where there is no limit, the group is mostly the whole machine.
  const near = (values: Curve['usage']) =>
    values.map((value, index) => (limit[index] != null && (value ?? Infinity) <= LARGEST_LIMIT_RATIO * highest ? value : null));
  return [[...times], [...inuse], band(1), band(-1), [...resident], near(usage), near(limit)];
}

/** Formats times as finely as the steps between them need. */
export function tickLabel(seconds: number, step: number): string {
  const [day, time] = [new Date(seconds * 1000).toDateString().slice(4, 10), clock(seconds, seconds)];
  if (step >= 86_400) return day;
  return step >= 60 ? time.slice(0, 5) : time;
}

function options(element: HTMLElement, range: () => [number, number], onFrame: (frame: Frame) => void): uPlot.Options {
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
      x: { time: true, range },
      y: { range: (_, __, most) => [0, Math.max(most, 1024) * 1.08] },
    },
    padding: [10, 8, 0, 0],
    axes: [
      {
        ...axis,
        size: 28,
        space: 70,
        // None is below a second, which labels do not tell apart.
        incrs: TIME_STEPS,
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
      { stroke: colour('group'), width: 1.5, points: { show: false } },
      { stroke: colour('limit'), width: 1.5, dash: [6, 4], points: { show: false } },
    ],
    bands: [{ series: [2, 3], fill: colour('band') }],
    hooks: { draw: [tellFrame] },
  };
}
