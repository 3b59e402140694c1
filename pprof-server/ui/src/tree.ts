// This merges stacks into a tree, from the root to the leaf or the other way round. A flame graph draws it.
//
// There is a tree for each profile, type and direction that is shown. Functions merge by name, as `go tool pprof` merges them,
// and the lines they stand at are kept beside. In a difference, a box is as wide as all that changed below it, what grew and
// what shrank, so that nothing hides behind its opposite.

import { idOf } from './ids';
import type { Predicate } from './filter';
import { crateOf, placeOf } from './names';
import { indexOf, type Frame, type Profile } from './profile';
import type { SampleType } from './sample_type';

export interface Node {
  readonly name: string;
  /** It stands for the path of names to this node, in every tree that has the same path. */
  readonly id: string;
  readonly parent: Node | null;
  /** The one that changed most is the first. */
  readonly children: Node[];
  /** The value of this function and of all below it: what grew minus what shrank. */
  value: number;
  /** The value of this function alone. */
  self: number;
  /** The sums of the positive and of the negative values below here, both as positive numbers. */
  grew: number;
  shrank: number;
  /** Whether it was compiled into its callers: everywhere, nowhere, or in places. */
  inlined: 'yes' | 'no' | 'partly';
  /** The part of the value that each line has, by `file:line`. */
  readonly places: Map<string, number>;
  /** One of the frames that it stands for. */
  readonly frame: Frame | null;
  /** For a run of frames that is one node. */
  readonly run: Run | null;
}

/** Frames one behind another on a stack that are drawn as one box. */
export interface Run {
  /** The least and the greatest number of frames on the stacks that the box stands for. */
  least: number;
  most: number;
  /** The id that the first of the frames has in the tree in which runs are not folded. */
  readonly unfolded: string;
}

export type Direction = 'callees' | 'callers';

/** Fewer frames in a row are drawn one by one. */
const LEAST_RUN = 3;

/** What stands for one node on the path of a stack. */
interface Step {
  readonly name: string;
  readonly frame: Frame;
  /** How many frames it stands for. */
  readonly frames: number;
  /** How many frames are on the path before it. */
  readonly before: number;
}

/**
 * Builds the tree of one value. With `callers` it begins at the leaf: with those who allocate, and then those who call them.
 * Three and more frames in a row for which `isFolded` holds become one node.
 */
export function build(
  profile: Profile,
  type: SampleType,
  direction: Direction = 'callees',
  isFolded: ((frame: Frame) => boolean) | null = null,
): Node {
  const root = node('all', null, null, null);
  const known = new Map<Node, Map<string, Node>>();
  const places = new Map<Frame, string>();
  const index = indexOf(profile, type);
  for (const { frames, values } of profile.stacks) {
    const value = values[index]!;
    if (value === 0) continue;
    let at = add(root, value);
    const path = direction === 'callees' ? frames.toReversed() : frames;
    for (const step of isFolded ? folded(path, isFolded) : path.map(alone)) {
      let children = known.get(at);
      if (!children) known.set(at, (children = new Map()));
      let child = children.get(step.name);
      if (!child) {
        child = node(step.name, at, step.frame, step.frames > 1 ? runOf(path, step) : null);
        child.inlined = step.frame.is_inlined ? 'yes' : 'no';
        children.set(step.name, child);
        at.children.push(child);
      } else if (child.inlined !== (step.frame.is_inlined ? 'yes' : 'no')) {
        child.inlined = 'partly';
      }
      at = add(child, value);
      if (child.run) {
        child.inlined = 'no';
        child.run.least = Math.min(child.run.least, step.frames);
        child.run.most = Math.max(child.run.most, step.frames);
        continue;
      }
      let place = places.get(step.frame);
      if (place === undefined) places.set(step.frame, (place = placeOf(step.frame)));
      if (place) at.places.set(place, (at.places.get(place) ?? 0) + value);
    }
    at.self += value;
  }
  for (const children of known.keys()) children.children.sort((a, b) => weight(b) - weight(a));
  return root;
}

function alone(frame: Frame, before: number): Step {
  return { name: frame.function, frame, frames: 1, before };
}

/** Returns the steps of a path in which runs of frames are one step each, named by the crates that they come through. */
function folded(path: readonly Frame[], isFolded: (frame: Frame) => boolean): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < path.length; ) {
    let end = at;
    while (end < path.length && isFolded(path[end]!)) end += 1;
    if (end - at >= LEAST_RUN) {
      const crates = [...new Set(path.slice(at, end).map((frame) => crateOf(frame.function)))].filter(Boolean);
      const named = crates.length > 3 ? `${crates.slice(0, 3).join(', ')} and more` : crates.join(', ');
      steps.push({ name: `… ${named || 'libraries'}`, frame: path[at]!, frames: end - at, before: at });
    } else {
      steps.push(...path.slice(at, Math.max(end, at + 1)).map((frame, index) => alone(frame, at + index)));
    }
    at = Math.max(end, at + 1);
  }
  return steps;
}

function runOf(path: readonly Frame[], { before, frames }: Step): Run {
  const unfolded = path.slice(0, before + 1).reduce((id, frame) => idOf(frame.function, id), '');
  return { least: frames, most: frames, unfolded };
}

/** Returns the name of a node as it is shown: that of a run says how many frames it stands for. */
export function titleOf({ name, run }: Node): string {
  if (!run) return name;
  const many = run.least === run.most ? `${run.least}` : `${run.least} to ${run.most}`;
  return `… ${many} frames of ${name.slice(2)}`;
}

/** Returns how wide a box is. */
export function weight(node: Node): number {
  return node.grew + node.shrank;
}

/** Returns the lines of a node, the heaviest first. */
export function placesOf(node: Pick<Node, 'places'>): [place: string, value: number][] {
  return [...node.places].sort(([, a], [, b]) => Math.abs(b) - Math.abs(a));
}

/** A function, wherever it is called. `go tool pprof -top` has a row for each. */
export interface FunctionTotals {
  readonly name: string;
  /** What it allocated itself. */
  flat: number;
  /** What it allocated with all that it called. Recursion counts once. */
  cum: number;
  inlined: Node['inlined'];
  /** Its lines, with what each allocated with all that it called. */
  readonly places: Map<string, number>;
}

/** Returns the functions in a tree of callees, the largest `cum` first. */
export function functions(root: Node): FunctionTotals[] {
  const totals = new Map<string, FunctionTotals>();
  const open = new Set<string>();
  const visit = (node: Node) => {
    let of = totals.get(node.name);
    if (!of) {
      of = { name: node.name, flat: 0, cum: 0, inlined: node.inlined, places: new Map() };
      totals.set(node.name, of);
    }
    if (of.inlined !== node.inlined) of.inlined = 'partly';
    of.flat += node.self;
    const isOutermost = !open.has(node.name);
    if (isOutermost) {
      of.cum += node.value;
      for (const [place, value] of node.places) of.places.set(place, (of.places.get(place) ?? 0) + value);
      open.add(node.name);
    }
    node.children.forEach(visit);
    if (isOutermost) open.delete(node.name);
  };
  root.children.forEach(visit);
  return [...totals.values()].sort((a, b) => Math.abs(b.cum) - Math.abs(a.cum) || Math.abs(b.flat) - Math.abs(a.flat));
}

/** Says in words whether a node was compiled into its callers. */
export function inlinedNote({ inlined }: Pick<Node, 'inlined'>): string {
  return { yes: ' (inlined)', partly: ' (inlined in places)', no: '' }[inlined];
}

/** Returns the root of the tree that a node is in. */
export function rootOf(node: Node): Node {
  let at = node;
  while (at.parent) at = at.parent;
  return at;
}

/** Returns the nodes from the outermost to this one, without the root. */
export function pathOf(node: Node): Node[] {
  const path: Node[] = [];
  for (let at: Node | null = node; at?.parent; at = at.parent) path.unshift(at);
  return path;
}

/** Returns the node with this id; `null` if there is none. */
export function nodeOf(root: Node, id: string): Node | null {
  return id === root.id ? root : first(root, (node) => node.id === id);
}

/** Returns the heaviest node for which `isMatch` holds, the outermost of those that are equal; `null` if it holds for none. */
export function heaviest(root: Node, isMatch: (node: Node) => boolean): Node | null {
  let best: Node | null = null;
  const visit = (node: Node) => {
    if (best && weight(node) <= weight(best)) return;
    if (isMatch(node)) best = node;
    else node.children.forEach(visit);
  };
  root.children.forEach(visit);
  return best;
}

function first(node: Node, holds: (node: Node) => boolean): Node | null {
  for (const child of node.children) {
    const found = holds(child) ? child : first(child, holds);
    if (found) return found;
  }
  return null;
}

/** Returns what tells whether a node has one of the functions and lines that `isMatch` holds for. A run has none. */
export function onNode(isMatch: Predicate): (node: Pick<Node, 'name' | 'places'>) => boolean {
  return ({ name, places }) =>
    isMatch({ function: name, file: '', line: 0 }) ||
    [...places.keys()].some((place) => isMatch({ function: '', file: place, line: 0 }));
}

function add(node: Node, value: number): Node {
  node.value += value;
  if (value > 0) node.grew += value;
  else node.shrank -= value;
  return node;
}

function node(name: string, parent: Node | null, frame: Frame | null, run: Run | null): Node {
  const id = parent ? idOf(name, parent.id) : '';
  const empty = { value: 0, self: 0, grew: 0, shrank: 0, inlined: 'no' as const };
  return { name, id, parent, children: [], ...empty, places: new Map(), frame, run };
}
