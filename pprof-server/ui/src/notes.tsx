// The server says in sentences how sure a profile is, then what is missing, and last what it costs.
//
// The words are the server's, the same as in every other output; here they are only sorted.

/** This matches sentences that a reader of the profile need not act upon. */
const INFORMATION =
  /^((in use|inuse_space|profiler memory|cpu): |threads of the profiler's own used |threads: \d+ in \d+ ms, |(block|mutex): .* contentions, from |block: \d+ of \d+ threads wait |no deadlock is seen|tasks: (there are none|\d+ ± \d+ are alive[^;]*)$)/;

/** Returns the notes that tell what is missing. */
export function losses(notes: readonly string[]): readonly string[] {
  return notes.filter((note) => !INFORMATION.test(note));
}

/** Returns `notes`, and those of `more` that do not say the same with other figures, since the answers are of different moments. */
export function merged(notes: readonly string[], more: readonly string[]): string[] {
  return [...notes, ...others(more, notes)];
}

/** Returns those of `notes` that do not say the same as one of `told` with other figures. */
export function others(notes: readonly string[], told: readonly string[]): string[] {
  const known = new Set(told.map(withoutFigures));
  return notes.filter((note) => !known.has(withoutFigures(note)));
}

function withoutFigures(note: string): string {
  return note.replace(/\d[\d.]*( [KMGT]iB| B)?/g, '#').replace(/samples?/g, 'samples');
}

/** Shows the losses among `notes`. They stand on every tab, because whoever looks at names has to know which are not there. */
export function Losses({ notes }: { notes: readonly string[] }) {
  const told = losses(notes);
  if (told.length === 0) return null;
  return (
    <ul class="losses" aria-label="What is missing">
      {told.map((note) => (
        <li key={note}>{note}</li>
      ))}
    </ul>
  );
}
