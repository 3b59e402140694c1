// The flame graph: what is known of the box that is chosen, what can be done with it, and the boxes. Around one function there
// are two of them, of those that call it and of those that it calls.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Boxes } from './boxes';
import { Chip } from './chip';
import { Copy } from './copy';
import { around, finds } from './filter';
import { shortPlace } from './names';
import type { Choosing, OfStacks } from './page';
import type { Frame, Profile } from './profile';
import { format, type SampleType } from './sample_type';
import { save } from './save';
import { svgOf } from './svg';
import { build, heaviest, inlinedNote, nodeOf, onNode, placesOf, rootOf, titleOf, weight, type Node } from './tree';
import { percent, things } from './units';
import { FOUND, type View } from './view';

interface Props extends OfStacks {
  /** What is left when functions and stacks are left out. */
  readonly profile: Profile;
  readonly isDifference: boolean;
}

/** A tree to draw. */
interface Graph {
  readonly title: string;
  readonly root: Node;
}

export function Flame(props: Props) {
  const { profile, view, owners, isDifference } = props;
  const { type, direction, folds, search } = view;
  const graphs = useMemo((): Graph[] => {
    const isFound = finds(search);
    // What the search finds is no part of a run, so that it can be seen.
    const isFolded = folds ? (frame: Frame) => owners.of(frame) !== 'own' && !isFound(frame) : null;
    if (view.around === null) return [{ title: 'Flame graph', root: build(profile, type, direction, isFolded) }];
    const { callers, callees } = around(profile, view.around);
    return [
      { title: 'Its callers', root: build(callers, type, 'callers', isFolded) },
      { title: 'What it calls', root: build(callees, type, 'callees', isFolded) },
    ];
  }, [profile, type, direction, owners, folds, search, view.around]);
  if (graphs.some(({ root }) => weight(root) > 0)) return <Graphs graphs={graphs} {...props} />;
  return (
    <>
      <Around {...props} />
      <p class="empty">{isDifference ? 'Nothing changed between these two moments.' : 'Nothing was sampled.'}</p>
    </>
  );
}

function Graphs({ graphs, isDifference, view, owners, onChange }: Props & { graphs: readonly Graph[] }) {
  const { type, search, zoom } = view;
  const place = useRef<HTMLDivElement>(null);
  const [chosen, setChosen] = useState<Node | null>(null);
  const [pointed, setPointed] = useState<Node | null>(null);
  const isMatch = useMemo(() => onNode(finds(search)), [search]);
  const zoomed = useMemo(
    () => graphs.map(({ root }) => (zoom === FOUND ? heaviest(root, isMatch) : nodeOf(root, zoom)) ?? root),
    [graphs, zoom, isMatch],
  );
  useEffect(() => setChosen(null), [zoomed]);
  const isDrawn = (node: Node | null) => node !== null && graphs.some(({ root }) => root === rootOf(node));
  const outermost = zoomed.find((node) => node.parent) ?? graphs[0]!.root;
  const current = isDrawn(chosen) ? chosen! : outermost;
  const shown = isDrawn(pointed) ? pointed! : current;
  const zoomTo = (node: Node) => {
    const isAgain = node.run !== null && zoomed.includes(node);
    onChange(isAgain ? { zoom: node.run!.unfolded, folds: false } : { zoom: node.id });
  };
  return (
    <div class="flame">
      <Around view={view} onChange={onChange} />
      <Details node={shown} root={rootOf(shown)} type={type} isDifference={isDifference} />
      <Tools
        node={current}
        isZoomed={zoomed.some((node) => node.parent)}
        onSave={() => save('flame.svg', svgOf([...place.current!.querySelectorAll('.boxes')]), 'image/svg+xml')}
        {...{ view, onChange }}
      />
      <div ref={place}>
        {graphs.map(({ title, root }, index) => (
          <div key={title}>
            {graphs.length > 1 && <h2>{title}</h2>}
            <Boxes
              label={title}
              root={root}
              zoomed={zoomed[index]!}
              isSearched={search.trim() !== ''}
              onZoom={zoomTo}
              onChoose={setChosen}
              onPoint={setPointed}
              {...{ type, isDifference, isMatch, owners }}
            />
          </div>
        ))}
      </div>
      <Legend isDifference={isDifference} />
    </div>
  );
}

interface ToolsProps extends Choosing {
  /** The box that was chosen last. */
  readonly node: Node;
  readonly isZoomed: boolean;
  readonly onSave: () => void;
}

/** What can be done with the graph, and with one of its boxes. */
function Tools({ node, isZoomed, onSave, view, onChange }: ToolsProps) {
  return (
    <div class="toolbar flame-tools">
      <button type="button" disabled={!isZoomed} onClick={() => onChange({ zoom: '' })}>
        Reset zoom
      </button>
      <OfBox node={node} view={view} onChange={onChange} />
      <label title="Three and more frames in a row that are not the program's own are one box">
        <input
          type="checkbox"
          checked={view.folds}
          onChange={(event) => onChange({ folds: event.currentTarget.checked, zoom: '' })}
        />{' '}
        Fold libraries
      </label>
      <button type="button" onClick={onSave}>
        Save as SVG
      </button>
    </div>
  );
}

/** The function whose callers and callees are shown. */
function Around({ view, onChange }: Choosing) {
  if (view.around === null) return null;
  return (
    <p class="chips">
      <Chip text={`callers and callees of ${view.around}`} onLeave={() => onChange({ around: null, zoom: '' })} />
    </p>
  );
}

/** What can be done with the box that was chosen last. */
function OfBox({ node, view, onChange }: { node: Node } & Choosing) {
  const isFunction = node.parent !== null && !node.run;
  const [place] = placesOf(node)[0] ?? [];
  const act = (text: string, title: string, part: Partial<View>) => (
    <button type="button" disabled={!isFunction} title={title} onClick={() => onChange({ ...part, zoom: '' })}>
      {text}
    </button>
  );
  return (
    <>
      {act('Only this', `Show only stacks that ${node.name} is on`, { focus: node.name })}
      {act('Without this', `Show no stack that ${node.name} is on`, { ignore: [...view.ignore, node.name] })}
      {act('Callers and callees', `Show what calls ${node.name}, wherever it is, and what it calls`, { around: node.name })}
      {place && (
        <Copy text={place} label={`Copy ${place}`}>
          Copy file:line
        </Copy>
      )}
    </>
  );
}

/** Says what is known of one box. Its height is always the same, so that nothing jumps. */
function Details({ node, root, type, isDifference }: { node: Node; root: Node; type: SampleType; isDifference: boolean }) {
  const whole = isDifference ? weight(root) : root.value;
  const places = placesOf(node);
  return (
    <dl class="details">
      <dt class="name">
        {titleOf(node)}
        <small>{inlinedNote(node)}</small>
      </dt>
      <dd class="place">
        {places.slice(0, 3).map(([place, value]) => (
          <span key={place} title={place}>
            {shortPlace(place)}
            {places.length > 1 && ` (${format(type, value, isDifference)})`}
          </span>
        ))}
        {places.length > 3 && <span>and {things(places.length - 3, 'more line')}</span>}
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

function Legend({ isDifference }: { isDifference: boolean }) {
  return (
    <p class="legend">
      {isDifference ? (
        <>
          <i class="swatch grew" /> grew <i class="swatch shrank" /> shrank. A box is as wide as all that changed below it.{' '}
        </>
      ) : (
        <>
          <i class="swatch own" /> your own code. Pale colours tell other crates apart; grey are the standard library and the
          runtime.{' '}
        </>
      )}
      “…” stands for frames of libraries: a click zooms to it, and a second one unfolds all of them. <em>Slanted</em>: compiled
      into its caller (inlined). Enter or click zooms, arrows move, Backspace zooms out, Escape shows all.
    </p>
  );
}
