// A view is what the user looks at: two moments, a type of value, a tab. It is the fragment of the page's address, so that a
// view can be kept and sent to others.

import type { SampleType } from './sample_type';
import { SAMPLE_TYPES } from './sample_type';
import type { Direction } from './tree';

export const TABS = ['suspects', 'table', 'functions', 'flame', 'about'] as const;
export type Tab = (typeof TABS)[number];

/** A moment: seconds since 1970 UTC, or the name of a mark. */
export type Moment = number | string;

export interface View {
  /** The moment to compare with. With `null`, nothing is compared, and all that is in use is shown. */
  readonly from: Moment | null;
  /** `null` is now. */
  readonly to: Moment | null;
  readonly type: SampleType;
  /** `null` is the suspects if there are any, and else the table. */
  readonly tab: Tab | null;
  readonly direction: Direction;
  readonly hidesStd: boolean;
  readonly search: string;
  /** The names on the path to the box that the flame graph is zoomed to, from the outermost. */
  readonly zoom: readonly string[];
}

export const START: View = {
  from: null,
  to: null,
  type: 'inuse_space',
  tab: null,
  direction: 'callees',
  hidesStd: true,
  search: '',
  zoom: [],
};

/** Reads a fragment. What it does not say, or says wrongly, is as at the start. */
export function parse(fragment: string): View {
  const said = new URLSearchParams(fragment.replace(/^#/, ''));
  const seconds = (text: string | null) => (text !== null && /^\d+(\.\d+)?$/.test(text) ? Number(text) : null);
  const one = <T extends string>(name: string, of: readonly T[]): T | null =>
    of.find((value) => value === said.get(name)) ?? null;
  const moment = (text: string | null) => seconds(text) ?? (text !== null && isMarkName(text) ? text : null);
  return {
    from: moment(said.get('from')),
    to: moment(said.get('to')),
    type: one('type', SAMPLE_TYPES) ?? START.type,
    tab: one('tab', TABS),
    direction: one('direction', ['callees', 'callers'] as const) ?? START.direction,
    hidesStd: said.get('std') !== 'shown',
    search: said.get('search') ?? '',
    zoom: said.getAll('zoom'),
  };
}

/** Returns the fragment of a view, without what is as at the start. */
export function format(view: View): string {
  const say = new URLSearchParams();
  if (view.tab) say.set('tab', view.tab);
  if (view.from !== null) say.set('from', String(view.from));
  if (view.to !== null) say.set('to', String(view.to));
  if (view.type !== START.type) say.set('type', view.type);
  if (view.direction !== START.direction) say.set('direction', view.direction);
  if (!view.hidesStd) say.set('std', 'shown');
  if (view.search) say.set('search', view.search);
  view.zoom.forEach((name) => say.append('zoom', name));
  return say.toString();
}

/** Returns whether the server takes `name` for the name of a mark. */
export function isMarkName(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]{0,63}$/.test(name);
}
