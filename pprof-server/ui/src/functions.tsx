// The table of functions has what each allocated itself and with all that it called, as `go tool pprof -top -cum` does.
//
// It is counted from the tree that the flame graph draws, so that both are right or neither.

import { useMemo, useState } from 'preact/hooks';
import { finds } from './filter';
import { More } from './more';
import { shortPlace } from './names';
import type { Profile } from './profile';
import type { SampleType } from './sample_type';
import { format } from './sample_type';
import { build, functions, onNode, placesOf, weight, type FunctionTotals } from './tree';
import { count, percent } from './units';

const FIRST_ROWS = 100;
const COLUMNS = [
  ['flat', 'itself'],
  ['cum', 'with callees'],
] as const;

interface Props {
  /** What is left when functions and stacks are left out. */
  readonly profile: Profile;
  readonly type: SampleType;
  readonly isDifference: boolean;
  readonly search: string;
  readonly onFind: (name: string) => void;
}

export function FunctionTable({ profile, type, isDifference, search, onFind }: Props) {
  const [order, setOrder] = useState<'flat' | 'cum'>('cum');
  const [most, setMost] = useState(FIRST_ROWS);
  const root = useMemo(() => build(profile, type), [profile, type]);
  const all = useMemo(() => functions(root), [root]);
  const rows = useMemo(() => {
    const isMatch = search.trim() ? onNode(finds(search)) : () => true;
    return all.filter(isMatch).sort((a, b) => Math.abs(b[order]) - Math.abs(a[order]));
  }, [all, order, search]);
  const whole = isDifference ? weight(root) : root.value;
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of functions">
        <table class="functions">
          <thead>
            <tr>
              {COLUMNS.map(([column, title]) => (
                <th key={column} scope="col" class="number" aria-sort={order === column ? 'descending' : 'none'}>
                  <button type="button" onClick={() => setOrder(column)}>
                    {title}
                    <span aria-hidden="true">{order === column ? ' ▼' : ''}</span>
                  </button>
                </th>
              ))}
              <th scope="col" class="place">
                function
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map((row) => (
              <Row key={row.name} {...{ row, type, whole, isDifference, onFind }} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length === 0 && <p class="empty">{search ? `No function is called “${search}”.` : 'Nothing to show.'}</p>}
      <More shown={most} all={rows.length} of="functions" onShow={setMost} />
    </>
  );
}

interface RowProps extends Pick<Props, 'type' | 'isDifference' | 'onFind'> {
  readonly row: FunctionTotals;
  /** What shares are shares of. */
  readonly whole: number;
}

function Row({ row, type, whole, isDifference, onFind }: RowProps) {
  const cell = (column: 'flat' | 'cum') => (
    <td class="number" data-value={row[column]}>
      {format(type, row[column], isDifference)} <small>{percent(row[column], whole)}</small>
    </td>
  );
  return (
    <tr data-function={row.name}>
      {cell('flat')}
      {cell('cum')}
      <th scope="row" class="place">
        <button type="button" title="Find it in the flame graph" onClick={() => onFind(row.name)}>
          {row.name}
        </button>
        {row.inlined !== 'no' && <small class="inlined">{row.inlined === 'yes' ? 'inlined' : 'inlined in places'}</small>}
        {placesOf(row).slice(0, 1).map(([place]) => (
          <small key={place} class="file" title={place}>
            {shortPlace(place)}
            {row.places.size > 1 && ` and ${count(row.places.size - 1)} more`}
          </small>
        ))}
      </th>
    </tr>
  );
}
