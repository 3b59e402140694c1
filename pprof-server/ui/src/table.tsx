// The table of lines has a row for each line that allocates, that is busy, or at which threads and tasks wait. A row opens to its
// stacks.
//
// TanStack Table sorts its rows; `lines` makes them.

import { createTable, getCoreRowModel, getSortedRowModel, type ColumnDef, type SortingState } from '@tanstack/table-core';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { columnsOf, type Column } from './columns';
import { finds, labelsIn, onStack } from './filter';
import { Stack, Title } from './frames';
import { HeldBy, type Holding } from './held_by';
import { alike, byLeaf, byOwn, lineOfStack, linesOf, type Line, type RowsBy, type Told } from './lines';
import { More } from './more';
import type { OfStacks } from './page';
import type { Owners } from './plumbing';
import { indexOf, type Profile } from './profile';
import { GOROUTINE_TYPES, type SampleType } from './sample_type';
import type { Shown } from './shown';
import { count, things } from './units';
import { byLabel, GROUPS, labelKeyOf, type View } from './view';

const FIRST_ROWS = 50;
/** As many stacks of an open row are shown. */
const FIRST_STACKS = 10;

const NO_DETAILS: Shown['details'] = new Map();

interface Props extends OfStacks {
  readonly shown: Shown;
  /** What is left of it when functions and stacks are left out. */
  readonly profile: Profile;
  readonly holding: Holding | null;
}

export function LineTable({ shown, profile, view, owners, holding, onChange }: Props) {
  const { type, search } = view;
  const { isDifference } = shown;
  const isOfWaits = profile.types === GOROUTINE_TYPES;
  const { groups, group, isByLabel } = useGroups(shown, view);
  const told = useTold(shown, owners, isOfWaits, isByLabel);
  const index = indexOf(profile, type);
  const all = useLines(profile, told, index, group, search);
  const [most, setMost] = useState(FIRST_ROWS);
  const [showsIdle, setShowsIdle] = useState(false);
  // What was freed again does not stand between the rows of what is in use.
  const lines = useMemo(() => (showsIdle ? all : all.filter(({ values }) => values[index] !== 0)), [all, index, showsIdle]);
  const idle = useMemo(() => all.filter(({ values }) => values[index] === 0).length, [all, index]);
  const isNarrow = useMedia('(max-width: 480px)');
  const columns = useMemo(() => columnsOf(shown, profile, isNarrow), [shown, profile, isNarrow]);
  const sorting = sortingOf(view, columns);
  const rows = useTable(lines, columns, sorting).getRowModel().rows;
  const open = new Set(view.open);
  const toggle = ({ id }: Line) =>
    onChange({ open: open.has(id) ? view.open.filter((other) => other !== id) : [...view.open, id] });
  return (
    <>
      <GroupChoice {...{ groups, group, onChange }} />
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of lines">
        <table class="lines">
          <Head columns={columns} sorting={sorting} type={type} onSort={(sort) => onChange({ sort })} />
          <tbody>
            {rows.slice(0, most).map(({ original: line }) => (
              <Rows key={line.id} line={line} isOpen={open.has(line.id)} {...{ columns, told, isOfWaits, holding, view, owners }} onToggle={() => toggle(line)} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length === 0 && <p class="empty">{search ? `No stack has “${search}” on it.` : 'Nothing to show.'}</p>}
      <More shown={most} all={rows.length} of="rows" onShow={setMost} />
      {idle > 0 && (
        <p class="note">
          <button type="button" class="idle-rows" aria-expanded={showsIdle} onClick={() => setShowsIdle(!showsIdle)}>
            <span aria-hidden="true">{showsIdle ? '▾' : '▸'}</span> {things(idle, labelKeyOf(group) ?? group)} {idleWords(type, isDifference)}
          </button>
        </p>
      )}
      <Untold shown={shown} isByLabel={isByLabel} />
    </>
  );
}

/** Returns what rows can be made by, what they are made by, and whether labels tell stacks apart that the server takes together. */
function useGroups(shown: Shown, view: View) {
  const knowsThreads = useMemo(() => shown.profile.stacks.some(({ thread }) => thread !== ''), [shown]);
  const keys = useMemo(() => [...labelsIn(shown.profile, 0).keys()], [shown]);
  const groups: RowsBy[] = [...GROUPS.filter((one) => one !== 'thread' || knowsThreads), ...keys.map(byLabel)];
  const group = groups.includes(view.group) ? view.group : 'line';
  const isByLabel = labelKeyOf(group) !== null || (view.labels.length > 0 && keys.length > 0);
  return { groups, group, isByLabel };
}

/** Returns what is known of stacks beside the profile. */
function useTold(shown: Shown, owners: Owners, isOfWaits: boolean, isByLabel: boolean): Told {
  const { suspicions } = shown;
  const leadOf = useMemo(() => (isOfWaits ? byOwn((frame) => owners.of(frame) === 'own') : byLeaf), [isOfWaits, owners]);
  // The server tells these of stacks, whatever their labels are.
  const details = isByLabel ? NO_DETAILS : shown.details;
  return useMemo(() => ({ details, suspicions, leadOf }), [details, suspicions, leadOf]);
}

/** Returns the rows of the stacks that the search finds. */
function useLines(profile: Profile, told: Told, index: number, group: RowsBy, search: string): Line[] {
  const stacks = useMemo(() => alike(profile, group), [profile, group]);
  return useMemo(() => {
    const isFound = onStack(finds(search));
    return linesOf(search.trim() ? stacks.filter(({ frames }) => isFound(frames)) : stacks, told, index, group);
  }, [stacks, told, index, search, group]);
}

interface GroupProps extends Pick<Props, 'onChange'> {
  readonly groups: readonly RowsBy[];
  readonly group: RowsBy;
}

/** The choice of what the stacks of a row have in common. */
function GroupChoice({ groups, group, onChange }: GroupProps) {
  return (
    <label class="group">
      A row for each{' '}
      <select name="group" value={group} onChange={(event) => onChange({ group: event.currentTarget.value as RowsBy, open: [] })}>
        {groups.map((one) => (
          <option key={one} value={one}>
            {labelKeyOf(one) ?? one}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Says of which rows samples, errors and ages are not known. */
function Untold({ shown, isByLabel }: { shown: Shown; isByLabel: boolean }) {
  if (isByLabel) {
    if (shown.details.size === 0) return null;
    return <p class="note">Samples, errors and ages are told of stacks with all their labels together, so not here.</p>;
  }
  if (shown.untold === 0) return null;
  return <p class="note">Samples, errors and ages are not told of the {things(shown.untold, 'smallest stack')}.</p>;
}

/** Says what lines are that have nothing of `type`. */
function idleWords(type: SampleType, isDifference: boolean): string {
  if (type.startsWith('alloc')) return isDifference ? 'on which nothing was allocated meanwhile' : 'on which nothing was allocated';
  return isDifference ? 'with as much in use as before' : 'with nothing in use now';
}

interface HeadProps {
  readonly columns: readonly Column[];
  readonly sorting: SortingState;
  readonly type: SampleType;
  readonly onSort: (sort: string) => void;
}

function Head({ columns, sorting: [sorted], type, onSort }: HeadProps) {
  return (
    <thead>
      <tr>
        {columns.map(({ id, header, title, hasWords }) => {
          const isSorted = sorted!.id === id;
          const order = !isSorted ? 'none' : sorted!.desc ? 'descending' : 'ascending';
          const next = isSorted && sorted!.desc ? `-${id}` : id;
          return (
            <th key={id} scope="col" class={id === 'place' ? 'place' : hasWords ? 'words' : 'number'} aria-sort={order}>
              <button type="button" title={title} onClick={() => onSort(next === type ? '' : next)}>
                {header}
                <span aria-hidden="true">{{ none: '', descending: ' ▼', ascending: ' ▲' }[order]}</span>
              </button>
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

interface RowsProps extends Pick<OfStacks, 'view' | 'owners'> {
  readonly line: Line;
  readonly columns: readonly Column[];
  readonly told: Told;
  /** Whether stacks are shown from what they wait in, and not from the frame that names them. */
  readonly isOfWaits: boolean;
  readonly holding: Holding | null;
  readonly isOpen: boolean;
  readonly onToggle: () => void;
}

/** The row of a line, and those of its stacks if it is open. */
function Rows({ line, columns, told, isOfWaits, holding, view, owners, isOpen, onToggle }: RowsProps) {
  const [most, setMost] = useState(FIRST_STACKS);
  const isAlone = line.stacks.length === 1;
  const shown = isOpen && !isAlone ? line.stacks.slice(0, most) : [];
  return (
    <>
      <tr class={isOpen ? 'is-open' : ''}>
        <Cells line={line} columns={columns}>
          <button type="button" aria-expanded={isOpen} onClick={onToggle}>
            <span aria-hidden="true">{isOpen ? '▾' : '▸'}</span> {line.name}
          </button>
          {line.frame && <Title frame={line.frame} canCopy={isOpen} />}
          {!isAlone && <small class="stacks">{count(line.stacks.length)} stacks</small>}
          {isOpen && <ThreadNames line={line} />}
          {isOpen && holding && line.frame && <HeldBy name={line.frame.function} frame={line.frame} {...holding} />}
          {isOpen && isAlone && !line.frame && <Title frame={line.stacks[0]!.frames[0]!} />}
          {isOpen && isAlone && <Stack stack={line.stacks[0]!.whole} owners={owners} hides={view.hides} isWhole hasLeaf={isOfWaits} />}
        </Cells>
      </tr>
      {shown.map((stack, index) => (
        <tr key={index} class="of-line">
          <Cells line={lineOfStack(stack, told)} columns={columns}>
            {!line.frame && !isOfWaits && <span class="function">{stack.frames[0]!.function}</span>}
            {!line.frame && !isOfWaits && <Title frame={stack.frames[0]!} />}
            <Stack stack={stack.whole} owners={owners} hides={view.hides} hasLeaf={isOfWaits} />
          </Cells>
        </tr>
      ))}
      {isOpen && line.stacks.length > most && !isAlone && (
        <tr class="of-line">
          <td colSpan={columns.length}>
            <More shown={most} all={line.stacks.length} of="stacks" onShow={setMost} />
          </td>
        </tr>
      )}
    </>
  );
}

/** As many names of threads are told. */
const MOST_NAMES = 5;

/** The names of the threads of a row. */
function ThreadNames({ line }: { line: Line }) {
  const names = [...new Set(line.stacks.flatMap(({ threads }) => [...threads]))].filter(Boolean);
  if (names.length === 0) return null;
  const more = names.length - MOST_NAMES;
  return (
    <small class="stacks">
      of {names.slice(0, MOST_NAMES).join(', ')}
      {more > 0 && ` and ${count(more)} more`}
    </small>
  );
}

/** The cells of a row, with `children` in that of the place. */
function Cells({ line, columns, children }: { line: Line; columns: readonly Column[]; children: ComponentChildren }) {
  return (
    <>
      {columns.map(({ id, value, text, hasWords }) =>
        id === 'place' ? (
          <th key={id} scope="row" class="place">
            {children}
          </th>
        ) : (
          <td key={id} class={hasWords ? 'words' : 'number'} data-value={String(value(line))}>
            {text(line)}
          </td>
        ),
      )}
    </>
  );
}

/** Returns what rows are sorted by: what the view says, if there is such a column, and else the value shown. */
function sortingOf({ sort, type }: View, columns: readonly Column[]): SortingState {
  const wanted = sort.replace(/^-/, '');
  const isColumn = columns.some(({ id }) => id === wanted);
  // What grows comes before what is many.
  if (!isColumn && type === 'goroutine') return [{ id: 'suspicion', desc: true }, { id: type, desc: true }];
  return [{ id: isColumn ? wanted : type, desc: !isColumn || !sort.startsWith('-') }];
}

/** Returns whether a media query holds. */
function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const listen = () => setHolds(media.matches);
    media.addEventListener('change', listen);
    return () => media.removeEventListener('change', listen);
  }, [query]);
  return holds;
}

function useTable(data: Line[], columns: readonly Column[], sorting: SortingState) {
  const defined = useMemo(
    () => columns.map(({ id, value }): ColumnDef<Line, unknown> => ({ id, accessorFn: value, sortUndefined: 'last' })),
    [columns],
  );
  const [table] = useState(() =>
    createTable<Line>({
      data,
      columns: defined,
      state: {},
      onStateChange: () => {},
      renderFallbackValue: null,
      getCoreRowModel: getCoreRowModel(),
      getSortedRowModel: getSortedRowModel(),
      enableSortingRemoval: false,
    }),
  );
  table.setOptions((before) => ({
    ...before,
    data,
    columns: defined,
    state: { ...table.initialState, sorting },
  }));
  return table;
}
