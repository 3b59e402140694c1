// Who holds the blocks of a suspect or of a row of the table: one line, which is asked for by a button.

import type { Frame, Holders } from './answers';
import type { Asked } from './asked';
import { saidOf, sentenceOf, withShortPlaces } from './holders';

/** How a part of the page asks who holds blocks, and shows the answer. */
export interface Holding {
  readonly asked: Asked<Holders>;
  /** Shows the whole answer on the tab of its own. */
  readonly onShow: (question: string) => void;
}

interface Props extends Holding {
  /** The stacks that this function is on are asked about. */
  readonly name: string;
  /** The frame by which the blocks are named. */
  readonly frame: Frame | null;
}

export function HeldBy({ asked, onShow, name, frame }: Props) {
  const { answer, isLoading, error } = asked.to(name);
  const { sentences, others } = answer ? saidOf(answer) : { sentences: [], others: [] };
  const sentence = sentenceOf(sentences, frame);
  return (
    <p class="held-by" role="status">
      {!answer && !isLoading && (
        <button type="button" title="Search the program's memory for what points to these blocks" onClick={() => asked.ask(name)}>
          Who holds it?
        </button>
      )}
      {isLoading && 'Searching memory…'}
      {error && <span class="error"> {error}</span>}
      {answer && !isLoading && (
        <>
          <b>Who holds it:</b> {sentence ? withShortPlaces(sentence.text) : others[0]}.{' '}
          <button type="button" onClick={() => onShow(name)}>
            Show all holders
          </button>
        </>
      )}
    </p>
  );
}
