// This says where the boxes of a flame graph are. d3-hierarchy lays them out.

import { hierarchy, partition } from 'd3-hierarchy';
import { pathOf, weight, type Node } from './tree';

/** Narrower boxes are left out. */
const LEAST_PX = 1;

/** A node and where it is drawn, in shares of the width. */
export interface Box {
  readonly node: Node;
  readonly depth: number;
  readonly left: number;
  readonly share: number;
}

/**
 * Lays out the zoomed box, the boxes that it is in, and below it those that are wide enough to be seen. The heaviest come
 * first, so what is left out leaves room only at the end.
 */
export function lay(zoomed: Node, width: number): Box[] {
  const least = (weight(zoomed) * LEAST_PX) / Math.max(width, 1);
  const weighed = hierarchy(zoomed, ({ children }) => children.filter((child) => weight(child) >= least));
  // The sums that d3 would make are known, and include what is left out.
  weighed.each((box) => ((box as { value?: number }).value = weight(box.data)));
  const above = pathOf(zoomed);
  const outer = above.length === 0 ? [] : [above[0]!.parent!, ...above.slice(0, -1)];
  const boxes = outer.map((node, depth) => ({ node, depth, left: 0, share: 1 }));
  // A function comes before those it calls, as a tree is read aloud.
  partition<Node>()(weighed).eachBefore(({ data, depth, x0, x1 }) => {
    boxes.push({ node: data, depth: above.length + depth, left: x0, share: x1 - x0 });
  });
  return boxes;
}
