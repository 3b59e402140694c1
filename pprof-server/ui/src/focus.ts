// Whoever goes on by keys from below the tabs stays there, although what had the focus is gone with its tab.

import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Page } from './page';

/** Gives the focus to what is below the tabs, if nothing has it. */
export function focusBelow(): void {
  if (document.activeElement === document.body) document.getElementById('panel')?.focus({ preventScroll: true });
}

/** Returns what changes the view as `change` does. If the focus is lost by it, what is below the tabs gets it. */
export function useFocusBelow(change: Page['onChange']): Page['onChange'] {
  const wasBelow = useRef(false);
  // At once: after the next paint, a key may have been pressed already.
  useLayoutEffect(() => {
    if (wasBelow.current) focusBelow();
    wasBelow.current = false;
  });
  return (part) => {
    wasBelow.current = document.activeElement?.closest('#panel') != null;
    change(part);
  };
}
