// This notices that the program has been started anew behind the same address.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { History } from './answers';
import { clock } from './units';

/** Calls `onRestart` after each restart of the program. Returns a sentence about the last one; `null` if there was none. */
export function useRestart(history: History | null, onRestart: () => void): string | null {
  const instance = useRef<string | null>(null);
  const [said, setSaid] = useState<string | null>(null);
  useEffect(() => {
    if (!history) return;
    const before = instance.current;
    instance.current = history.instance;
    if (before === null || before === history.instance) return;
    setSaid(sentence(history));
    onRestart();
  }, [history?.instance]);
  return said;
}

function sentence({ process_start_nanos: start }: History): string {
  return `Restarted${start === null ? '' : ` at ${clock(start / 1e9)}`}; the record begins anew.`;
}
