// These choices hold for all tabs: the value, the search, what is left out, and the end to begin at.

import type { RefObject } from 'preact';
import { SAMPLE_TYPES, TITLES, type SampleType } from './sample_type';
import type { View } from './view';

interface Props {
  readonly view: View;
  readonly searchBox: RefObject<HTMLInputElement | null>;
  readonly onChange: (part: Partial<View>) => void;
}

export function Filters({ view, searchBox, onChange }: Props) {
  return (
    <div class="toolbar">
      <label>
        Value{' '}
        <select
          name="type"
          value={view.type}
          onChange={(event) => onChange({ type: event.currentTarget.value as SampleType })}
        >
          {SAMPLE_TYPES.toReversed().map((type) => (
            <option key={type} value={type}>
              {TITLES[type]}
            </option>
          ))}
        </select>
      </label>
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
      <label title="The standard library, where threads begin, and the inside of tokio">
        <input
          type="checkbox"
          checked={view.hidesStd}
          onChange={(event) => onChange({ hidesStd: event.currentTarget.checked, zoom: [] })}
        />{' '}
        Hide std and runtime
      </label>
      <label>
        <input
          type="checkbox"
          checked={view.direction === 'callers'}
          onChange={(event) => onChange({ direction: event.currentTarget.checked ? 'callers' : 'callees', zoom: [] })}
        />{' '}
        Invert (callers)
      </label>
    </div>
  );
}
