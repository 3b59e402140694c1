// The boxes of a flame graph: a tree of functions, each as wide as its share, drawn from the root down.
//
// The boxes are elements of the page, not a picture, so they can be reached with the keyboard and read aloud, and take their
// colours from the style sheet. Boxes narrower than a pixel are left out until their parent is zoomed to.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { lay, type Box } from './layout';
import { crateOf, shortName } from './names';
import type { Owners } from './plumbing';
import { format, type SampleType } from './sample_type';
import { inlinedNote, pathOf, titleOf, weight, type Node } from './tree';

const ROW_PX = 20;
/** Narrower boxes have no room for a name. */
const LEAST_NAMED_PX = 28;

interface Props {
  readonly label: string;
  readonly root: Node;
  readonly zoomed: Node;
  readonly type: SampleType;
  readonly isDifference: boolean;
  readonly isSearched: boolean;
  readonly isMatch: (node: Node) => boolean;
  readonly owners: Owners;
  readonly onZoom: (node: Node) => void;
  /** The box that the keyboard or a click has chosen. */
  readonly onChoose: (node: Node) => void;
  /** The box that the mouse points to. */
  readonly onPoint: (node: Node | null) => void;
}

export function Boxes(props: Props) {
  const { root, zoomed, isDifference, isSearched, onPoint } = props;
  const holder = useRef<HTMLDivElement>(null);
  const width = useWidth(holder);
  const visible = useMemo(() => lay(zoomed, width), [zoomed, width]);
  const { current, zoomTo, onFocus, onKeyDown } = useChosen(props, visible, holder);
  // Whoever follows a link, or comes here from another tab, sees what it is about.
  useEffect(() => {
    if (zoomed !== root) holder.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  }, [zoomed]);

  const rows = visible.reduce((most, box) => Math.max(most, box.depth), 0) + 1;
  const zoomDepth = pathOf(zoomed).length;
  return (
    <div
      ref={holder}
      class={`boxes ${isDifference ? 'is-difference' : ''} ${isSearched ? 'is-searched' : ''}`}
      role="tree"
      aria-label={props.label}
      style={{ height: `${rows * ROW_PX}px` }}
      onKeyDown={onKeyDown}
      onMouseLeave={() => onPoint(null)}
    >
      {visible.map((box) => (
        <OneBox
          key={box.node.id}
          {...props}
          box={box}
          isCurrent={box.node === current}
          isAbove={box.depth < zoomDepth}
          isNamed={box.share * width >= LEAST_NAMED_PX}
          onClick={() => zoomTo(box.node)}
          onFocus={() => onFocus(box.node)}
        />
      ))}
    </div>
  );
}

interface BoxProps extends Pick<Props, 'zoomed' | 'type' | 'isDifference' | 'isMatch' | 'owners' | 'onPoint'> {
  readonly box: Box;
  readonly isCurrent: boolean;
  readonly isAbove: boolean;
  readonly isNamed: boolean;
  readonly onClick: () => void;
  readonly onFocus: () => void;
}

function OneBox({ box, zoomed, type, isDifference, isMatch, owners, isCurrent, isAbove, isNamed, onPoint, onClick, onFocus }: BoxProps) {
  const { node, depth, left, share } = box;
  const shown = node.run ? titleOf(node) : shortName(node.name);
  const part = isDifference ? { '--grew': `${((100 * node.grew) / weight(node)).toFixed(1)}%` } : {};
  return (
    <div
      role="treeitem"
      aria-level={depth + 1}
      aria-selected={node === zoomed}
      aria-label={labelOf(node, shown, format(type, node.value, isDifference))}
      tabIndex={isCurrent ? 0 : -1}
      class={[
        'box',
        isDifference ? '' : shade(node, owners),
        node.inlined === 'yes' && 'is-inlined',
        node.run && 'is-run',
        isAbove && 'is-above',
        isMatch(node) && 'is-match',
      ].filter(Boolean).join(' ')}
      style={{ left: `${left * 100}%`, width: `${share * 100}%`, top: `${depth * ROW_PX}px`, ...part }}
      onClick={onClick}
      onFocus={onFocus}
      onMouseEnter={() => onPoint(node)}
    >
      {isNamed && <span>{shown}</span>}
    </div>
  );
}

/** Says what a box is. Whoever speaks to the page says what is shown of a name, so that is a part of it. */
function labelOf(node: Node, shown: string, value: string): string {
  const title = titleOf(node);
  const label = `${title}${inlinedNote(node)}, ${value}`;
  return title.includes(shown) ? label : `${label}; ${shown}`;
}

/** Keeps which box is chosen, and moves among the boxes that can be seen. */
function useChosen({ root, zoomed, onZoom, onChoose }: Props, visible: readonly Box[], holder: { current: HTMLElement | null }) {
  const [id, setId] = useState<string | null>(null);
  const depths = useMemo(() => new Map(visible.map(({ node, depth }) => [node, depth])), [visible]);
  const current = visible.find(({ node }) => node.id === id)?.node ?? zoomed;
  const takesFocus = useRef(false);
  useLayoutEffect(() => {
    if (!takesFocus.current) return;
    takesFocus.current = false;
    holder.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  });

  const onFocus = (node: Node) => {
    setId(node.id);
    onChoose(node);
  };
  const go = (to: Node | null | undefined) => {
    if (!to) return;
    takesFocus.current = true;
    onFocus(to);
  };
  const zoomTo = (node: Node) => {
    takesFocus.current = true;
    setId(node.run && node === zoomed ? node.run.unfolded : node.id);
    onZoom(node);
  };
  const beside = (step: number): Node | undefined => {
    const row = visible.filter(({ depth }) => depth === depths.get(current));
    return row[row.findIndex(({ node }) => node === current) + step]?.node;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = {
      ArrowDown: () => go(current.children.find((child) => depths.has(child))),
      ArrowUp: () => go(current.parent),
      ArrowLeft: () => go(beside(-1)),
      ArrowRight: () => go(beside(1)),
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
  return { current, zoomTo, onFocus, onKeyDown };
}

const HUES = 12;

/** Returns how a box is coloured: strongly for the program's own code, in one of a dozen pale colours by the crate, or grey. */
function shade(node: Node, owners: Owners): string {
  if (!node.parent) return 'is-root';
  const owner = owners.of(node.frame!);
  if (owner === 'own') return 'is-own';
  const crate = crateOf(node.name);
  if (owner === 'plumbing' || !crate || node.run) return 'is-std';
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
