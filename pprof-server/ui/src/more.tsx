// A long list shows its first rows, and more of them a step at a time, so that the page stays quick whatever there is.

import { count } from './units';

/** As many rows more are shown at each step. */
const STEP = 500;

interface Props {
  readonly shown: number;
  readonly all: number;
  /** What the rows are, in the plural. */
  readonly of: string;
  readonly onShow: (rows: number) => void;
}

/** The button that shows more rows, if there are more. */
export function More({ shown, all, of, onShow }: Props) {
  if (all <= shown) return null;
  return (
    <button type="button" class="more-rows" onClick={() => onShow(shown + STEP)}>
      Show {count(Math.min(STEP, all - shown))} more of {count(all)} {of}
    </button>
  );
}
