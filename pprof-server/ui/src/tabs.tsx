// These are the tabs. Arrow keys move among them, as everywhere.

import { useRef } from 'preact/hooks';
import type { Tab } from './view';

const TAB_TITLES: Record<Tab, string> = {
  suspects: 'Suspects',
  table: 'Table',
  functions: 'Functions',
  flame: 'Flame graph',
  holders: 'Holders',
  about: 'About',
};

interface Props {
  readonly tabs: readonly Tab[];
  readonly tab: Tab;
  /** How many suspects there are. */
  readonly suspects?: number;
  readonly onChange: (tab: Tab) => void;
}

export function Tabs({ tabs, tab, suspects = 0, onChange }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const at = tabs.indexOf(tab);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length]!;
    onChange(next);
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views" ref={list} onKeyDown={onKeyDown}>
      {tabs.map((name) => (
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
