// Some keys act on the page as a whole.

import { useEffect, useRef } from 'preact/hooks';

/** Makes `keys` act wherever the focus is, except in a field that takes text. */
export function useKeys(keys: Record<string, () => void>) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isTyping = (event.target as HTMLElement).closest('input:not([type=checkbox]), select, textarea');
      const act = latest.current[event.key];
      if (!act || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, []);
}
