// This merges stacks into a tree, from the root to the leaf or the other way round. A flame graph draws it.
//
// There is a tree for each profile, type and direction that is shown. Functions merge by name, as `go tool pprof` merges them,
// and the lines they stand at are kept beside. In a difference, a box is as wide as all that changed below it, what grew and
// what shrank, so that nothing hides behind its opposite.

import { searchable } from './names';
import type { Frame, Profile } from './profile';
import { SAMPLE_TYPES, type SampleType } from './sample_type';

export interface Node {
  readonly name: string;
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
}

export type Direction = 'callees' | 'callers';

/** Builds the tree of one value. With `callers` it begins at the leaf: with those who allocate, and then those who call them. */
export function build(profile: Profile, type: SampleType, direction: Direction = 'callees'): Node {
  const root = node('all', null);
  const known = new Map<Node, Map<string, Node>>();
  const places = new Map<Frame, string>();
  const index = SAMPLE_TYPES.indexOf(type);
  for (const { frames, values } of profile.stacks) {
    const value = values[index]!;
    if (value === 0) continue;
    let at = add(root, value);
    const path = direction === 'callees' ? frames.toReversed() : frames;
    for (const frame of path) {
      let children = known.get(at);
      if (!children) known.set(at, (children = new Map()));
      let child = children.get(frame.name);
      if (!child) {
        child = node(frame.name, at);
        child.inlined = frame.isInlined ? 'yes' : 'no';
        children.set(frame.name, child);
        at.children.push(child);
      } else if (child.inlined !== (frame.isInlined ? 'yes' : 'no')) {
        child.inlined = 'partly';
      }
      at = add(child, value);
      let place = places.get(frame);
      if (place === undefined) places.set(frame, (place = placeOf(frame)));
      if (place) at.places.set(place, (at.places.get(place) ?? 0) + value);
    }
    at.self += value;
  }
  for (const children of known.keys()) children.children.sort((a, b) => weight(b) - weight(a));
  return root;
}

/** Returns how wide a box is. */
export function weight(node: Node): number {
  return node.grew + node.shrank;
}

/** Returns as much of `file:line` as is known. */
export function placeOf(frame: Pick<Frame, 'file' | 'line'>): string {
  return frame.file && frame.line ? `${frame.file}:${frame.line}` : frame.file;
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

/** Returns the nodes from the outermost to this one, without the root. */
export function pathOf(node: Node): Node[] {
  const path: Node[] = [];
  for (let at: Node | null = node; at?.parent; at = at.parent) path.unshift(at);
  return path;
}

/** Returns the node at this path of names, or the last one on the path that there is. */
export function follow(root: Node, names: readonly string[]): Node {
  let at = root;
  for (const name of names) {
    const next = at.children.find((child) => child.name === name);
    if (!next) break;
    at = next;
  }
  return at;
}

/** Returns what tells whether the search finds a node: by its name, however compilers write it, or by a line's file, in any case of letters. */
export function matches(query: string): (node: Pick<Node, 'name' | 'places'>) => boolean {
  const wanted = query.trim().toLowerCase();
  const name = searchable(wanted);
  if (!wanted) return () => false;
  return (node) =>
    (name !== '' && searchable(node.name).includes(name)) ||
    [...node.places.keys()].some((place) => place.toLowerCase().includes(wanted));
}

/** Returns the value of all that is found below here. Each part of it counts once. */
export function matched(node: Node, isMatch: (node: Node) => boolean): number {
  if (isMatch(node)) return node.value;
  return node.children.reduce((sum, child) => sum + matched(child, isMatch), 0);
}

function add(node: Node, value: number): Node {
  node.value += value;
  if (value > 0) node.grew += value;
  else node.shrank -= value;
  return node;
}

function node(name: string, parent: Node | null): Node {
  return { name, parent, children: [], value: 0, self: 0, grew: 0, shrank: 0, inlined: 'no', places: new Map() };
}
