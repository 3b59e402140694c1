// Whoever goes on by keys from below the tabs stays there, although what had the focus is gone with its tab.

import { useEffect, useRef } from 'preact/hooks';
import type { Page } from './page';

/** Returns what changes the view as `change` does. If the focus is lost by it, what is below the tabs gets it. */
export function useFocusBelow(change: Page['onChange']): Page['onChange'] {
  const wasBelow = useRef(false);
  useEffect(() => {
    if (wasBelow.current && document.activeElement === document.body) document.getElementById('panel')?.focus({ preventScroll: true });
    wasBelow.current = false;
  });
  return (part) => {
    wasBelow.current = document.activeElement?.closest('#panel') != null;
    change(part);
  };
}
