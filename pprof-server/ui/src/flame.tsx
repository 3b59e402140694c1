// The flame graph is a tree of functions, each as wide as its share, drawn from the root down.
//
// d3-hierarchy lays it out. The boxes are elements of the page, not a picture, so they can be reached with the keyboard
// and read aloud, and take their colours from the style sheet. Boxes narrower than a pixel are left out until their
// parent is zoomed to.

import { hierarchy, partition } from 'd3-hierarchy';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { crateOf, shortName, shortPlace } from './names';
import { format, type SampleType } from './sample_type';
import { follow, matched, matches, pathOf, placesOf, weight, type Node } from './tree';
import { percent } from './units';

const ROW_PX = 20;
const LEAST_PX = 1;
/** Narrower boxes have no room for a name. */
const LEAST_NAMED_PX = 28;

/** A node and where it is drawn, in shares of the width. */
interface Box {
  readonly node: Node;
  readonly depth: number;
  readonly left: number;
  readonly share: number;
}

interface Props {
  readonly root: Node;
  readonly type: SampleType;
  readonly isDifference: boolean;
  readonly search: string;
  /** What finds the functions that have no colour. */
  readonly plumbing: RegExp;
  readonly zoom: readonly string[];
  readonly onZoom: (path: string[]) => void;
}

export function Flame(props: Props) {
  if (weight(props.root) > 0) return <Boxes {...props} />;
  return <p class="empty">{props.isDifference ? 'Nothing changed between these two moments.' : 'Nothing was sampled.'}</p>;
}

function Boxes({ root, type, isDifference, search, plumbing, zoom, onZoom }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const width = useWidth(holder);
  const [focused, setFocused] = useState<Node | null>(null);
  const [hovered, setHovered] = useState<Node | null>(null);
  const zoomed = useMemo(() => follow(root, zoom), [root, zoom]);
  const isMatch = useMemo(() => matches(search), [search]);
  const found = useMemo(() => (search ? matched(root, isMatch) : 0), [root, search, isMatch]);
  const visible = useMemo(() => lay(zoomed, width), [zoomed, width]);
  const places = useMemo(() => new Map(visible.map((box) => [box.node, box])), [visible]);
  const current = focused && places.has(focused) ? focused : zoomed;
  const takesFocus = useRef(false);

  useLayoutEffect(() => {
    if (!takesFocus.current) return;
    takesFocus.current = false;
    holder.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  });

  const go = (to: Node | null | undefined) => {
    if (!to) return;
    takesFocus.current = true;
    setFocused(to);
  };
  const zoomTo = (node: Node) => {
    takesFocus.current = true;
    setFocused(node);
    onZoom(pathOf(node).map(({ name }) => name));
  };
  const beside = (node: Node, step: number): Node | undefined => {
    const row = visible.filter((box) => box.depth === places.get(node)?.depth);
    return row[row.findIndex((box) => box.node === node) + step]?.node;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = {
      ArrowDown: () => go(current.children.find((child) => places.has(child))),
      ArrowUp: () => go(current.parent),
      ArrowLeft: () => go(beside(current, -1)),
      ArrowRight: () => go(beside(current, 1)),
      Home: () => go(root),
      Enter: () => zoomTo(current),
      ' ': () => zoomTo(current),
      Escape: () => zoomTo(root),
      Backspace: () => zoomTo(zoomed.parent ?? root),
    };
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  const rows = visible.reduce((most, box) => Math.max(most, box.depth), 0) + 1;
  const zoomDepth = pathOf(zoomed).length;
  return (
    <div class="flame">
      <Details node={hovered ?? current} root={root} type={type} isDifference={isDifference} />
      {search && (
        <p class="found" role="status">
          “{search}”: {format(type, found, isDifference)} ({percent(found, isDifference ? weight(root) : root.value)})
        </p>
      )}
      <div
        ref={holder}
        class={`boxes ${isDifference ? 'is-difference' : ''} ${search ? 'is-searched' : ''}`}
        role="tree"
        aria-label="Flame graph"
        style={{ height: `${rows * ROW_PX}px` }}
        onKeyDown={onKeyDown}
        onMouseLeave={() => setHovered(null)}
      >
        {visible.map(({ node, depth, left, share }) => {
          const shade = isDifference ? { '--grew': `${((100 * node.grew) / weight(node)).toFixed(1)}%` } : {};
          return (
            <div
              key={pathOf(node).map(({ name }) => name).join('\0')}
              role="treeitem"
              aria-level={depth + 1}
              aria-selected={node === zoomed}
              aria-label={`${node.name}${inlinedNote(node)}, ${format(type, node.value, isDifference)}`}
              tabIndex={node === current ? 0 : -1}
              class={[
                'box',
                isDifference ? '' : colour(node, plumbing),
                node.inlined === 'yes' && 'is-inlined',
                depth < zoomDepth && 'is-above',
                isMatch(node) && 'is-match',
              ].filter(Boolean).join(' ')}
              style={{ left: `${left * 100}%`, width: `${share * 100}%`, top: `${depth * ROW_PX}px`, ...shade }}
              onClick={() => zoomTo(node)}
              onFocus={() => setFocused(node)}
              onMouseEnter={() => setHovered(node)}
            >
              {share * width >= LEAST_NAMED_PX && <span>{shortName(node.name)}</span>}
            </div>
          );
        })}
      </div>
      <p class="legend">
        {isDifference ? (
          <>
            <i class="swatch grew" /> grew <i class="swatch shrank" /> shrank. A box is as wide as all that changed below it.{' '}
          </>
        ) : (
          <>Colours tell crates apart; grey are the standard library and the runtime. </>
        )}
        <em>Slanted</em>: compiled into its caller (inlined). Enter or click zooms, arrows move, Backspace zooms out, Escape shows all.
      </p>
    </div>
  );
}

/** Says what is known of one box. Its height is always the same, so that nothing jumps. */
function Details({ node, root, type, isDifference }: { node: Node; root: Node; type: SampleType; isDifference: boolean }) {
  const whole = isDifference ? weight(root) : root.value;
  const places = placesOf(node);
  return (
    <dl class="details">
      <dt class="name">
        {node.name}
        <small>{inlinedNote(node)}</small>
      </dt>
      <dd class="place">
        {places.slice(0, 3).map(([place, value]) => (
          <span key={place} title={place}>
            {shortPlace(place)}
            {places.length > 1 && ` (${format(type, value, isDifference)})`}
          </span>
        ))}
        {places.length > 3 && <span>and {places.length - 3} lines more</span>}
      </dd>
      <dd>
        <b>{format(type, node.value, isDifference)}</b> ({percent(node.value, whole)}), of it here{' '}
        <b>{format(type, node.self, isDifference)}</b>
        {isDifference && node.grew > 0 && node.shrank > 0 && (
          <> · {format(type, node.grew, true)} and {format(type, -node.shrank, true)}</>
        )}
      </dd>
    </dl>
  );
}

function inlinedNote(node: Node): string {
  return { yes: ' (inlined)', partly: ' (inlined in places)', no: '' }[node.inlined];
}

/**
 * Lays out the zoomed box, the boxes that it is in, and below it those that are wide enough to be seen. The heaviest come
 * first, so what is left out leaves room only at the end.
 */
function lay(zoomed: Node, width: number): Box[] {
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

const HUES = 12;

/** Returns one of a dozen colours by the crate, and none for plumbing. */
function colour(node: Node, plumbing: RegExp): string {
  const crate = crateOf(node.name);
  if (!node.parent) return 'is-root';
  if (!crate || plumbing.test(node.name)) return 'is-std';
  let hash = 0;
  for (const letter of crate) hash = (hash * 31 + letter.charCodeAt(0)) % 9973;
  return `hue-${hash % HUES}`;
}

function useWidth(holder: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(800);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry!.contentRect.width));
    observer.observe(holder.current!);
    return () => observer.disconnect();
  }, [holder]);
  return width;
}
