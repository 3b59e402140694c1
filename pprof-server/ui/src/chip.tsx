// Something that was chosen stands in a chip, which also takes it back.

/** Something that was chosen and can be left. */
export function Chip({ text, onLeave }: { text: string; onLeave: () => void }) {
  return (
    <span class="chip">
      {text}
      <button type="button" aria-label={`Leave: ${text}`} title="Leave" onClick={onLeave}>
        <span aria-hidden="true">✕</span>
      </button>
    </span>
  );
}
