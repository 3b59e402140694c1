// This tab has what keeps memory alive: a tree from variables and stacks down to the sites of the blocks. Memory is searched when
// the user asks for it.

import { useEffect, useState } from 'preact/hooks';
import type { Holders } from './answers';
import type { Asked } from './asked';
import { Copy } from './copy';
import { Title } from './frames';
import { MEANINGS, saidOf, shareOf, treeOf, withShortPlaces, type Holder } from './holders';
import type { Choosing } from './page';
import { address, holdersTarget } from './server';
import { bytes, clock, count, things } from './units';

/** The server takes no longer text. */
const MAX_LETTERS = 256;
/** So deep is the tree open at first. */
const OPEN_LEVELS = 4;

interface Props extends Choosing {
  readonly asked: Asked<Holders>;
  /** Whether the program is asked, and can be asked anew. */
  readonly isLive: boolean;
}

export function HolderTree({ view, asked, isLive, onChange }: Props) {
  const { answer, isLoading, error } = asked.to(view.held);
  if (!isLive) return <p class="note">Who holds memory is not kept in a file: that needs the program.</p>;
  return (
    <>
      <Question view={view} isLoading={isLoading} onChange={onChange} onAsk={asked.ask} />
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {answer ? (
        <Answer answer={answer} question={view.held} />
      ) : (
        <p class="empty">
          A profile tells who allocated memory. This tells who still holds it: the program’s own memory is searched for pointers to
          sampled blocks, while the program goes on. It takes from some milliseconds to half a minute, by how much memory there is.
        </p>
      )}
    </>
  );
}

/** Asks whose holders are wanted. */
function Question({ view, isLoading, onChange, onAsk }: Choosing & { isLoading: boolean; onAsk: (question: string) => void }) {
  const [text, setText] = useState(view.held);
  useEffect(() => setText(view.held), [view.held]);
  return (
    <form
      class="toolbar holders-of"
      onSubmit={(event) => {
        event.preventDefault();
        onChange({ held: text.trim() });
        onAsk(text.trim());
      }}
    >
      <label>
        Blocks from stacks with{' '}
        <input
          type="text"
          name="held"
          maxLength={MAX_LETTERS}
          placeholder="a function; empty: the suspects’"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={isLoading} title="Search the program's memory for what points to them">
        Search memory
      </button>
      {isLoading && <span role="status">Searching memory…</span>}
    </form>
  );
}

function Answer({ answer, question }: { answer: Holders; question: string }) {
  const { sentences, others } = saidOf(answer);
  const tree = treeOf(answer);
  const rest = answer.other.inuse_space ?? 0;
  const command = `go tool pprof -http=: '${address(holdersTarget(question)).replaceAll("'", '%27')}'`;
  return (
    <>
      <p class="what" role="status">
        At {clock(answer.time_nanos / 1e9)}, who holds {bytes(answer.total.inuse_space ?? 0)} in {count(answer.total.inuse_objects ?? 0)} objects,{' '}
        {question ? `from stacks with “${question}”` : 'those of the suspects'}: from what begins a chain down to who allocated.
      </p>
      {tree.length === 0 && <p class="empty">No sampled block that is in use was found.</p>}
      <ul class="holders" aria-label="Holders">
        {tree.map((holder) => (
          <One key={holder.frame.function} {...{ holder, answer }} depth={0} />
        ))}
      </ul>
      {rest > 0 && <p class="note">Smaller chains hold {bytes(rest)} more.</p>}
      {sentences.length > 0 && (
        <details class="holders-said">
          <summary>By site, in words</summary>
          <ul>
            {sentences.map(({ site, text }) => (
              <li key={site}>
                {withShortPlaces(site)}: {withShortPlaces(text)}.
              </li>
            ))}
          </ul>
        </details>
      )}
      {others.map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      <p class="note">
        The same as a flame graph: <code>{command}</code>{' '}
        <Copy text={command} label="Copy the command">
          Copy
        </Copy>
      </p>
    </>
  );
}

function One({ holder, answer, depth }: { holder: Holder; answer: Holders; depth: number }) {
  const line = <Line holder={holder} answer={answer} isRoot={depth === 0} />;
  if (holder.children.length === 0) return <li>{line}</li>;
  return (
    <li>
      <details open={depth < OPEN_LEVELS}>
        <summary>{line}</summary>
        <ul>
          {holder.children.map((child) => (
            <One key={`${child.frame.function} ${child.frame.file}:${child.frame.line}`} {...{ holder: child, answer }} depth={depth + 1} />
          ))}
        </ul>
      </details>
    </li>
  );
}

function Line({ holder, answer, isRoot }: { holder: Holder; answer: Holders; isRoot: boolean }) {
  const { frame, finding } = holder;
  const isLeaf = holder.children.length === 0;
  return (
    <span class={finding ? 'holder is-finding' : 'holder'}>
      <b>{shareInWords(holder, answer)}</b>{' '}
      <small>
        {bytes(holder.bytes)}, {things(Math.round(holder.objects), 'object')}
        {holder.samples > 0 && `, ${things(holder.samples, 'sample')}`}
      </small>{' '}
      <span class="function">{isRoot || isLeaf || !frame.file ? frame.function : `blocks of ${frame.function}`}</span>{' '}
      {frame.file && <Title frame={frame} canCopy={false} />}
      {finding && <span class="meaning"> {MEANINGS[finding]}</span>}
    </span>
  );
}

/** Says which share of the bytes is held, with one standard error. */
export function shareInWords(holder: Holder, answer: Pick<Holders, 'total' | 'total_errors'>): string {
  const { value, error } = shareOf(holder, answer);
  const figure = (share: number) => (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0);
  const spread = error === null ? '' : ` ± ${error > 0 && error < 0.0005 ? '<\u202f0.1' : figure(error)}`;
  return `${figure(value)}${spread} %`;
}
