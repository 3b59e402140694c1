// These are the tabs. Arrow keys move among them, as everywhere.

import { useRef } from 'preact/hooks';
import { TABS, type Tab } from './view';

const TAB_TITLES: Record<Tab, string> = {
  suspects: 'Suspects',
  table: 'Table',
  functions: 'Functions',
  flame: 'Flame graph',
  about: 'About',
};

interface Props {
  readonly tab: Tab;
  /** How many suspects there are. */
  readonly suspects: number;
  readonly onChange: (tab: Tab) => void;
}

export function Tabs({ tab, suspects, onChange }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const at = TABS.indexOf(tab);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = TABS[(to + TABS.length) % TABS.length]!;
    onChange(next);
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views" ref={list} onKeyDown={onKeyDown}>
      {TABS.map((name) => (
        <button
          key={name}
          id={`tab-${name}`}
          type="button"
          role="tab"
          aria-selected={name === tab}
          aria-controls="panel"
          tabIndex={name === tab ? 0 : -1}
          onClick={() => onChange(name)}
        >
          {TAB_TITLES[name]}
          {name === 'suspects' && suspects > 0 && <span class="badge">{suspects}</span>}
        </button>
      ))}
    </div>
  );
}
