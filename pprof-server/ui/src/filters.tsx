// These choices hold for all tabs: the value and the age of a heap profile, the search, what is left out, and the end to begin at.

import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { Chip } from './chip';
import { containing, isEverything, labelInWords, labelsIn, wordsOf, type Found } from './filter';
import type { Choosing, Page } from './page';
import { indexOf } from './profile';
import { format, SAMPLE_TYPES, TITLES, type HeapType } from './sample_type';
import type { Shown } from './shown';
import { count, duration, percent } from './units';
import { pairOf } from './view';

/** How many seconds old blocks are at least, as it can be chosen. */
const AGES = [10, 60, 600, 3600, 21_600, 86_400];

interface Props extends Choosing, Pick<Page, 'searchBox'> {
  readonly shown: Shown | null;
  /** The choices that a profile of this kind has beside them. */
  readonly children: ComponentChildren;
}

interface HeapProps extends Choosing {
  /** Whether ages are known of what is shown. */
  readonly knowsAges: boolean;
}

/** The value, and how old blocks are at least. */
export function HeapFilters({ view, knowsAges, onChange }: HeapProps) {
  return (
    <>
      <label>
        Value{' '}
        <select
          name="type"
          value={view.type}
          onChange={(event) => onChange({ type: event.currentTarget.value as HeapType })}
        >
          {SAMPLE_TYPES.toReversed().map((type) => (
            <option key={type} value={type}>
              {TITLES[type]}
            </option>
          ))}
        </select>
      </label>
      <label title={knowsAges ? '' : 'Ages are known of what is in use now: choose “all in use” and “now” above'}>
        Age{' '}
        <select
          name="age"
          disabled={!knowsAges}
          value={knowsAges ? String(view.minAge) : '0'}
          onChange={(event) => onChange({ minAge: Number(event.currentTarget.value) })}
        >
          <option value="0">any</option>
          {[...new Set([...AGES, view.minAge])].filter((age) => age > 0).map((age) => (
            <option key={age} value={String(age)}>
              {duration(age)} or more
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

export function Filters({ shown, view, searchBox, children, onChange }: Props) {
  return (
    <div class="toolbar">
      {children}
      <LabelFilter {...{ shown, view, onChange }} />
      <label>
        Search{' '}
        <input
          ref={searchBox}
          type="search"
          name="search"
          placeholder="function or file"
          value={view.search}
          onInput={(event) => onChange({ search: event.currentTarget.value })}
        />
      </label>
      <label title="Leave out the standard library, where threads begin, and the inside of tokio">
        <input
          type="checkbox"
          checked={view.hides !== 'nothing'}
          disabled={view.hides === 'libraries'}
          onChange={(event) => onChange({ hides: event.currentTarget.checked ? 'std' : 'nothing', zoom: '' })}
        />{' '}
        Hide std and runtime
      </label>
      <label title="Leave out all crates that cargo fetched too: what they do stands on the line of yours that called them">
        <input
          type="checkbox"
          checked={view.hides === 'libraries'}
          onChange={(event) => onChange({ hides: event.currentTarget.checked ? 'libraries' : 'std', zoom: '' })}
        />{' '}
        My code only
      </label>
      <label title="Begin at the innermost functions, and go on with their callers">
        <input
          type="checkbox"
          checked={view.direction === 'callers'}
          onChange={(event) => onChange({ direction: event.currentTarget.checked ? 'callers' : 'callees', zoom: '' })}
        />{' '}
        Callers below
      </label>
    </div>
  );
}

/** The choice of labels that the program gave, if it gave any: of each key one value. */
function LabelFilter({ shown, view, onChange }: { shown: Shown | null } & Choosing) {
  const { type, labels } = view;
  const known = useMemo(() => shown && labelsIn(shown.profile, indexOf(shown.profile, type)), [shown, type]);
  if (!shown || !known || known.size === 0) return null;
  const choose = (label: string) => {
    const others = labels.filter((other) => pairOf(other)[0] !== pairOf(label)[0]);
    onChange({ labels: [...others, label], zoom: '' });
  };
  return (
    <label title="Only what the program did under one of its labels">
      Label{' '}
      <select name="label" value="" onChange={(event) => event.currentTarget.value && choose(event.currentTarget.value)}>
        <option value="">{labels.length > 0 ? 'another' : 'any'}</option>
        {[...known].map(([key, values]) => (
          <optgroup key={key} label={key}>
            {values.map(([value, sum]) => (
              <option key={value} value={`${key}=${value}`}>
                {labelInWords(`${key}=${value}`)} ({format(type, sum, shown.isDifference)})
              </option>
            ))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

/** What the stacks are narrowed to; each can be taken back. */
export function Narrowed({ view, onChange }: Choosing) {
  const { focus, ignore, thread, kind, labels } = view;
  if (isEverything(view)) return null;
  return (
    <p class="chips" aria-label="Stacks that are shown" role="group">
      {focus !== null && <Chip text={`only ${wordsOf(focus)}`} onLeave={() => onChange({ focus: null, zoom: '' })} />}
      {thread !== null && <Chip text={`only the thread ${thread}`} onLeave={() => onChange({ thread: null, zoom: '' })} />}
      {kind !== null && <Chip text={`only ${kind}s`} onLeave={() => onChange({ kind: null, zoom: '' })} />}
      {labels.map((label) => (
        <Chip
          key={label}
          text={`only ${labelInWords(label)}`}
          onLeave={() => onChange({ labels: labels.filter((other) => other !== label), zoom: '' })}
        />
      ))}
      {ignore.map((filter) => (
        <Chip
          key={filter}
          text={`without ${wordsOf(filter)}`}
          onLeave={() => onChange({ ignore: ignore.filter((other) => other !== filter), zoom: '' })}
        />
      ))}
    </p>
  );
}

interface SearchProps extends Choosing {
  readonly found: Found;
  /** What the found is a part of. */
  readonly whole: { readonly stacks: number; readonly value: number };
  /** What of the found is shown. */
  readonly value: number;
  readonly isDifference: boolean;
}

/** Says how much the search finds, and narrows what is shown to it. */
export function SearchResult({ view, found, value, whole, isDifference, onChange }: SearchProps) {
  const text = view.search.trim();
  return (
    <p class="found" role="status">
      “{text}”: {format(view.type, value, isDifference)} ({percent(value, whole.value)}) on {count(found.stacks)} of{' '}
      {count(whole.stacks)} stacks{' '}
      <button type="button" disabled={found.stacks === 0} onClick={() => onChange({ focus: containing(text), search: '', zoom: '' })}>
        Only these
      </button>{' '}
      <button
        type="button"
        disabled={found.stacks === 0}
        onClick={() => onChange({ ignore: [...view.ignore, containing(text)], search: '', zoom: '' })}
      >
        Without these
      </button>
    </p>
  );
}
