// The table of stacks has what is in use or grew, what was allocated, objects, samples and age, by the line that allocated.
//
// TanStack Table sorts and filters its rows; `shown` makes them.

import {
  createTable,
  getCoreRowModel,
  getFilteredRowModel,
  getSortedRowModel,
  type ColumnDef,
  type SortingState,
} from '@tanstack/table-core';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { Frames } from './frames';
import type { SampleType } from './sample_type';
import { format } from './sample_type';
import type { Line, Shown } from './shown';
import { placeOf } from './tree';
import { count, duration } from './units';

/** More rows are behind a button, a step at a time, so that the page stays quick whatever there is. */
const FIRST_ROWS = 50;
const MORE_ROWS = 500;

interface Props {
  readonly shown: Shown;
  readonly type: SampleType;
  readonly search: string;
  /** What finds the callers to hide. With `null`, none are hidden. */
  readonly plumbing: RegExp | null;
}

export function StackTable({ shown, type, search, plumbing }: Props) {
  const { isDifference } = shown;
  const [sorting, setSorting] = useState<SortingState>([{ id: type, desc: true }]);
  const [opened, setOpened] = useState<ReadonlySet<Line>>(new Set());
  const [most, setMost] = useState(FIRST_ROWS);
  const all = shown.rows ?? [];
  // What was freed again does not stand between the rows of what is in use.
  const lines = useMemo(() => all.filter((line) => line.change[type] !== 0), [all, type]);
  const idle = shown.idleStacks + all.length - lines.length;
  const isNarrow = useMedia('(max-width: 480px)');
  const columns = useMemo(() => columnsOf(isDifference, isNarrow), [isDifference, isNarrow]);
  const table = useTable(lines, columns, sorting, setSorting, search);
  const rows = table.getRowModel().rows;
  const toggle = (line: Line) => {
    const next = new Set(opened);
    if (!next.delete(line)) next.add(line);
    setOpened(next);
  };
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of stacks">
        <table class="stacks">
          <thead>
            <tr>
              {table.getFlatHeaders().map(({ column }) => {
                const sorted = column.getIsSorted();
                return (
                  <th
                    key={column.id}
                    scope="col"
                    class={column.id === 'place' ? 'place' : 'number'}
                    aria-sort={sorted === 'asc' ? 'ascending' : sorted === 'desc' ? 'descending' : 'none'}
                  >
                    <button type="button" onClick={() => column.toggleSorting(sorted !== 'desc')}>
                      {String(column.columnDef.header)}
                      <span aria-hidden="true">{sorted === 'asc' ? ' ▲' : sorted === 'desc' ? ' ▼' : ''}</span>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map(({ original: line, getVisibleCells }) => {
              const isOpen = opened.has(line);
              return (
                <tr key={line} class={isOpen ? 'is-open' : ''}>
                  {getVisibleCells().map(({ column, getValue }) =>
                    column.id === 'place' ? (
                      <th key={column.id} scope="row" class="place">
                        <button type="button" aria-expanded={isOpen} onClick={() => toggle(line)}>
                          <span aria-hidden="true">{isOpen ? '▾' : '▸'}</span> {line.stack[0]?.function ?? '(no stack)'}
                        </button>
                        <Frames stack={line.stack} plumbing={plumbing} most={isOpen ? Infinity : 0} />
                      </th>
                    ) : (
                      <td key={column.id} class="number" data-value={String(getValue())}>
                        {column.columnDef.meta!.format(getValue() as number)}
                      </td>
                    ),
                  )}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {rows.length === 0 && <p class="empty">{search ? `No stack has “${search}” on it.` : 'Nothing to show.'}</p>}
      {rows.length > most && (
        <button type="button" class="more-rows" onClick={() => setMost(most + MORE_ROWS)}>
          Show {count(Math.min(MORE_ROWS, rows.length - most))} more of {count(rows.length)} rows
        </button>
      )}
      {shown.rest && (
        <p class="note">
          {count(shown.rest.stacks)} stacks more have no row: {format(type, shown.rest.figures[type], isDifference)}.
        </p>
      )}
      {idle > 0 && (
        <p class="note">
          {count(idle)} {idle === 1 ? 'stack' : 'stacks'} {idleWords(type, isDifference)}.
        </p>
      )}
    </>
  );
}

/** Says what stacks are that have nothing of `type`. */
function idleWords(type: SampleType, isDifference: boolean): string {
  if (type.startsWith('alloc')) return isDifference ? 'on which nothing was allocated meanwhile' : 'on which nothing was allocated';
  return isDifference ? 'with as much in use as before' : 'with nothing in use';
}

declare module '@tanstack/table-core' {
  interface ColumnMeta<TData, TValue> {
    format: (value: number) => string;
  }
}

function columnsOf(isDifference: boolean, isNarrow: boolean): ColumnDef<Line, unknown>[] {
  const number = (id: string, header: string, of: (line: Line) => number, show: (value: number) => string) => ({
    id,
    header,
    accessorFn: of,
    sortUndefined: 'last' as const,
    meta: { format: (value: number) => (Number.isNaN(value) ? '–' : show(value)) },
  });
  const change = (type: SampleType, header: string) =>
    number(type, header, ({ change }) => change[type], (value) => format(type, value, isDifference));
  const place = { id: 'place', header: 'allocated by', accessorFn: (line: Line) => line.stack[0]?.function ?? '' };
  const numbers = [
    change('inuse_space', isDifference ? 'Δ in use' : 'in use'),
    number('error', '± std err', ({ errors }) => errors?.inuse_space ?? NaN, (value) => format('inuse_space', value)),
    ...(isDifference
      ? [number('inuse', 'in use', ({ inuse }) => inuse?.inuse_space ?? NaN, (value) => format('inuse_space', value))]
      : []),
    change('inuse_objects', isDifference ? 'Δ objects' : 'objects'),
    change('alloc_space', 'allocated'),
    change('alloc_objects', 'allocations'),
    number('samples', 'samples', ({ change }) => change.inuse_samples, (value) => format('inuse_objects', value, isDifference)),
    number('age', 'age, median', ({ age }) => age?.median_seconds ?? NaN, duration),
  ];
  // In a narrow window, the numbers are what scrolls out of sight.
  return isNarrow ? [place, ...numbers] : [...numbers, place];
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

function useTable(
  data: Line[],
  columns: ColumnDef<Line, unknown>[],
  sorting: SortingState,
  setSorting: (sorting: SortingState) => void,
  search: string,
) {
  const [table] = useState(() =>
    createTable<Line>({
      data,
      columns,
      state: {},
      onStateChange: () => {},
      renderFallbackValue: null,
      getCoreRowModel: getCoreRowModel(),
      getSortedRowModel: getSortedRowModel(),
      getFilteredRowModel: getFilteredRowModel(),
      globalFilterFn: (row, _, wanted: string) => isOnStack(row.original, wanted),
      enableSortingRemoval: false,
    }),
  );
  table.setOptions((before) => ({
    ...before,
    data,
    columns,
    state: { ...table.initialState, sorting, globalFilter: search.trim().toLowerCase() },
    onSortingChange: (change) => setSorting(typeof change === 'function' ? change(sorting) : change),
  }));
  return table;
}

function isOnStack(line: Line, wanted: string): boolean {
  return line.stack.some((frame) => `${frame.function}\n${placeOf(frame)}`.toLowerCase().includes(wanted));
}
