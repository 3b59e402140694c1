// This says whether resident memory is the program's own blocks, or something else. glibc's figures tell what else, on demand,
// because other threads may have to wait for them.

import { useState } from 'preact/hooks';
import type { History } from './answers';
import { inWords } from './poll';
import * as server from './server';
import { bytes, percent } from './units';

/** From this share on, the program's own blocks are what resident memory is. */
const MOSTLY = 0.7;

export function Retention({ history: { now }, canAsk }: { history: History; canAsk: boolean }) {
  const [said, setSaid] = useState('');
  const { inuse_space: inuse, rss_bytes: resident } = now;
  if (inuse === null || resident === null || now.inuse_space_error_bytes === null) return null;
  const ask = async () => {
    setSaid('Asking…');
    setSaid(await server.malloc().then((figures) => wordsOf(figures, resident, inuse), inWords));
  };
  return (
    <p class="retention">
      {retentionIn(inuse, resident)}{' '}
      {canAsk && (
        <button type="button" title="glibc walks its free blocks for this, and threads that allocate wait meanwhile" onClick={ask}>
          Ask malloc
        </button>
      )}{' '}
      <span role="status">{said}</span>
    </p>
  );
}

/** Says what resident memory mostly is. */
export function retentionIn(inuse: number, resident: number): string {
  if (inuse > resident) return 'More is in use than is resident: some of it is swapped out, was never touched, or the estimate is too high.';
  const share = percent(inuse, resident);
  return inuse >= MOSTLY * resident
    ? `Resident memory is the program's own blocks (${share}): if it grows, look for a leak or for more work, not at the allocator.`
    : `The program's own blocks are ${share} of resident memory. The rest is what the allocator keeps, code, thread stacks, C libraries and mapped files.`;
}

/** Says what glibc's figures tell of `resident`. */
export function wordsOf(malloc: server.Malloc | null, resident: number, inuse: number): string {
  if (!malloc) return 'The allocator is not glibc’s, or does not tell.';
  const { held, used, free } = malloc;
  const parts = [`glibc has ${bytes(held)} from the system: ${bytes(used)} in blocks, ${bytes(free)} free.`];
  if (free > resident / 4) parts.push('What is free is kept by the allocator: heap?gc=1 gives it back.');
  if (used > 2 * inuse) parts.push('Far more is in blocks than this profile knows of: C code holds it.');
  return parts.join(' ');
}
