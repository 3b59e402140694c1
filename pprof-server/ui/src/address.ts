// This keeps the view in the page's address, and changes it there.

import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { format, parse, type View } from './view';

/** Returns the view, and a function that changes a part of it, in the address too. */
export function useView(): [View, (part: Partial<View>) => void] {
  const [view, setView] = useState(() => parse(location.hash));
  // A change may come long after the page was drawn, when a capture ends.
  const latest = useRef(view);
  latest.current = view;
  // An effect would run after the page is drawn, and miss an address that is changed until then.
  useLayoutEffect(() => {
    const read = () => setView(parse(location.hash));
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  return [
    view,
    (part) => {
      const before = latest.current;
      const next = { ...before, ...part };
      // Typing in the search box is not a step that the browser's back button undoes.
      const isStep = format({ ...next, search: '' }) !== format({ ...before, search: '' });
      window.history[isStep ? 'pushState' : 'replaceState'](null, '', `#${format(next)}`);
      latest.current = next;
      setView(next);
    },
  ];
}
