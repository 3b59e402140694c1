// The view in the page's address, and how to change it.

import { useEffect, useState } from 'preact/hooks';
import { format, parse, type View } from './view';

/** The view, and what makes another one the address's. */
export function useView(): [View, (view: View) => void] {
  const [view, setView] = useState(() => parse(location.hash));
  useEffect(() => {
    const read = () => setView(parse(location.hash));
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  return [
    view,
    (next) => {
      // Typing in the search box is no step to go back to.
      const isStep = format({ ...next, search: '' }) !== format({ ...view, search: '' });
      window.history[isStep ? 'pushState' : 'replaceState'](null, '', `#${format(next)}`);
      setView(next);
    },
  ];
}
