// A view is what the user looks at: two moments, a type of value, a tab. It is the fragment of the page's address, so that a
// view can be kept and sent to others.

import { SAMPLE_TYPES, type SampleType } from './sample_type';
import type { Direction } from './tree';

/** What the page shows the profile of. */
export const SUBJECTS = ['heap', 'cpu', 'threads', 'locks'] as const;
export type Subject = (typeof SUBJECTS)[number];

export const TABS = ['suspects', 'table', 'functions', 'flame', 'holders', 'about'] as const;
export type Tab = (typeof TABS)[number];

/** The tabs that each subject has. */
export const TABS_OF: Record<Subject, readonly Tab[]> = {
  heap: TABS,
  cpu: ['table', 'functions', 'flame'],
  threads: ['table', 'functions', 'flame'],
  locks: ['table', 'functions', 'flame'],
};

/** The tab of each subject that is shown first; `null` for suspects if there are any, and else the table. */
const FIRST_TAB: Record<Subject, Tab | null> = { heap: null, cpu: 'flame', threads: 'table', locks: 'table' };

/** What runs or waits. */
export const KINDS = ['thread', 'task'] as const;
export type Kind = (typeof KINDS)[number];

/** A moment: seconds since 1970 UTC, or the name of a mark. */
export type Moment = number | string;

/** Which frames are left out: none, those of the standard library and the runtime, or all that are not the program's own. */
export const HIDES = ['nothing', 'std', 'libraries'] as const;
export type Hides = (typeof HIDES)[number];

/** What the stacks of one row of the table have in common: the line, the function or the crate of the leaf, or the thread. */
export const GROUPS = ['line', 'function', 'crate', 'thread'] as const;
export type Group = (typeof GROUPS)[number];

/** Rows may also have the value of one of the program's labels in common. Its key stands behind this. */
const BY_LABEL = 'label:';
export type LabelGroup = `${typeof BY_LABEL}${string}`;
export const byLabel = (key: string): LabelGroup => `${BY_LABEL}${key}`;

/** Returns the key of the label by which rows are made; `null` if they are not made by a label. */
export const labelKeyOf = (group: Group | LabelGroup): string | null => (group.startsWith(BY_LABEL) ? group.slice(BY_LABEL.length) : null);

/** A label of the program's, written `key=value`. Without a value it stands for the stacks that do not have the label. */
export type LabelText = string;

/** Returns the key and the value of a label. */
export function pairOf(label: LabelText): readonly [key: string, value: string] {
  const at = label.indexOf('=');
  return [label.slice(0, at), label.slice(at + 1)];
}

/** The time that was captured. */
export interface Span {
  /** Seconds since 1970 UTC. */
  readonly start: number;
  readonly seconds: number;
}

export interface View {
  readonly subject: Subject;
  /** The moment to compare with. With `null`, nothing is compared, and all that is in use is shown. */
  readonly from: Moment | null;
  /** `null` is now. */
  readonly to: Moment | null;
  /** What was captured is shown instead of what is between `from` and `to`. */
  readonly capture: Span | null;
  /** Only blocks that are at least so many seconds old count as in use. It is of what is in use now. */
  readonly minAge: number;
  readonly type: SampleType;
  /** `null` is the tab that the subject shows first. */
  readonly tab: Tab | null;
  readonly direction: Direction;
  readonly hides: Hides;
  /** Whether runs of frames that are not the program's own are one box of the flame graph. */
  readonly folds: boolean;
  readonly search: string;
  /** Only stacks that this is on are shown, and none that one of `ignore` is on. `filter` says how they are written. */
  readonly focus: string | null;
  readonly ignore: readonly string[];
  /** Only the stacks of the threads with this name are shown. */
  readonly thread: string | null;
  /** Only threads are shown, or only tasks. */
  readonly kind: Kind | null;
  /** Only stacks that have all of these labels are shown. */
  readonly labels: readonly LabelText[];
  /** The flame graph shows the callers and callees of this function, wherever it is called. */
  readonly around: string | null;
  /** What the flame graph is zoomed to: the id of a box, `FOUND`, or nothing. */
  readonly zoom: string;
  readonly group: Group | LabelGroup;
  /** The column by which the table is sorted, with `-` before it if the least comes first. If it is empty, that is the value shown. */
  readonly sort: string;
  /** The ids of the rows of the table that are open. */
  readonly open: readonly string[];
  /** Whose holders are shown: those of blocks from stacks with a function whose name has this; if it is empty, of the suspects. */
  readonly held: string;
}

/** The zoom to the heaviest box that the search finds. */
export const FOUND = 'found';

export const START: View = {
  subject: 'heap',
  from: null,
  to: null,
  capture: null,
  minAge: 0,
  type: 'inuse_space',
  tab: null,
  direction: 'callees',
  hides: 'std',
  folds: true,
  search: '',
  focus: null,
  ignore: [],
  thread: null,
  kind: null,
  labels: [],
  around: null,
  zoom: '',
  group: 'line',
  sort: '',
  open: [],
  held: '',
};

/** Returns whether a tab shows the profile of the view. */
export const isOfProfile = (tab: Tab): boolean => tab === 'table' || tab === 'functions' || tab === 'flame';

/** Reads a fragment. What it does not say, or says wrongly, is as at the start. */
export function parse(fragment: string): View {
  const said = new URLSearchParams(fragment.replace(/^#/, ''));
  const seconds = (text: string | null) => (text !== null && /^\d+(\.\d+)?$/.test(text) ? Number(text) : null);
  const one = <T extends string>(name: string, of: readonly T[]): T | null =>
    of.find((value) => value === said.get(name)) ?? null;
  const moment = (text: string | null) => seconds(text) ?? (text !== null && isMarkName(text) ? text : null);
  const id = (text: string | null) => (text !== null && /^-?\w+$/.test(text) ? text : '');
  const [start, lasting] = (said.get('capture') ?? '').split('+').map(seconds);
  return {
    subject: one('of', SUBJECTS) ?? START.subject,
    from: moment(said.get('from')),
    to: moment(said.get('to')),
    capture: start != null && lasting != null ? { start, seconds: lasting } : null,
    minAge: seconds(said.get('age')) ?? 0,
    type: one('type', SAMPLE_TYPES) ?? START.type,
    tab: one('tab', TABS),
    direction: one('direction', ['callees', 'callers'] as const) ?? START.direction,
    hides: one('hide', HIDES) ?? START.hides,
    folds: said.get('fold') !== 'no',
    search: said.get('search') ?? '',
    focus: said.get('focus') || null,
    ignore: said.getAll('ignore').filter(Boolean),
    thread: said.get('thread') || null,
    kind: one('kind', KINDS),
    labels: said.getAll('label').filter((label) => label.indexOf('=') > 0),
    around: said.get('around') || null,
    zoom: id(said.get('zoom')),
    group: one('group', GROUPS) ?? labelGroup(said.get('group')) ?? START.group,
    sort: id(said.get('sort')),
    open: said.getAll('open').map(id).filter(Boolean),
    held: said.get('held') ?? '',
  };
}

function labelGroup(text: string | null): LabelGroup | null {
  const key = text?.startsWith(BY_LABEL) ? text.slice(BY_LABEL.length) : '';
  return key ? byLabel(key) : null;
}

/** Returns the fragment of a view, without what is as at the start, and without what the tab does not show. */
export function format(view: View): string {
  const say = new URLSearchParams();
  const { capture } = view;
  if (view.subject !== START.subject) say.set('of', view.subject);
  if (view.tab) say.set('tab', view.tab);
  if (view.from !== null) say.set('from', String(view.from));
  if (view.to !== null) say.set('to', String(view.to));
  if (capture) say.set('capture', `${capture.start.toFixed(3)}+${capture.seconds}`);
  if (view.minAge > 0) say.set('age', String(view.minAge));
  if (view.type !== START.type) say.set('type', view.type);
  if (view.direction !== START.direction) say.set('direction', view.direction);
  if (view.hides !== START.hides) say.set('hide', view.hides);
  if (!view.folds) say.set('fold', 'no');
  if (view.search) say.set('search', view.search);
  if (view.focus) say.set('focus', view.focus);
  view.ignore.forEach((name) => say.append('ignore', name));
  if (view.thread) say.set('thread', view.thread);
  if (view.kind) say.set('kind', view.kind);
  view.labels.forEach((label) => say.append('label', label));
  if (view.tab === 'flame' && view.around) say.set('around', view.around);
  if (view.tab === 'flame' && view.zoom) say.set('zoom', view.zoom);
  // Which tab is shown without a word about it may change, so its rows are not part of the address.
  if (view.tab === 'table' && view.group !== START.group) say.set('group', view.group);
  if (view.tab === 'table' && view.sort) say.set('sort', view.sort);
  if (view.tab === 'table') view.open.forEach((id) => say.append('open', id));
  if (view.tab === 'holders' && view.held) say.set('held', view.held);
  return say.toString();
}

/** Returns the view of another subject: the moments, the search and the labels stay, and what is a part of one profile does not. */
export function withSubject(view: View, subject: Subject): View {
  const tab = view.tab && TABS_OF[subject].includes(view.tab) ? view.tab : FIRST_TAB[subject];
  return { ...view, subject, tab, thread: null, kind: null, around: null, zoom: '', sort: '', open: [] };
}

/** Returns the tab that is shown when the address says none, or one that the subject does not have. */
export function tabOf({ subject, tab }: Pick<View, 'subject' | 'tab'>, isSuspicious: boolean): Tab {
  if (tab && TABS_OF[subject].includes(tab)) return tab;
  return FIRST_TAB[subject] ?? (isSuspicious ? 'suspects' : 'table');
}

/** The value of each subject that has one. */
const TYPE_OF: Record<Exclude<Subject, 'heap'>, SampleType> = { cpu: 'cpu', threads: 'goroutine', locks: 'delay' };

/** Returns the view with the value of its subject. Only the heap has several to choose from. */
export function withType(view: View): View {
  return view.subject === 'heap' ? view : { ...view, type: TYPE_OF[view.subject] };
}

/** Returns the two moments that the server is asked for. Those of a capture are near its ends. */
export function momentsOf({ from, to, capture }: Pick<View, 'from' | 'to' | 'capture'>): Pick<View, 'from' | 'to'> {
  return capture ? { from: capture.start, to: capture.start + capture.seconds } : { from, to };
}

/** Returns whether the server takes `name` for the name of a mark. */
export function isMarkName(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]{0,63}$/.test(name);
}
