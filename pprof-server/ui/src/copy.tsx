// A button that copies a text.

import { useEffect, useState } from 'preact/hooks';

interface Props {
  readonly text: string;
  /** What the button does, for those who do not see its sign. */
  readonly label: string;
  /** What the button says. Without it, there is a sign. */
  readonly children?: string;
  /** What is selected where the browser copies nothing, so that the user can. */
  readonly selected?: () => Element | null;
}

export function Copy({ text, label, children, selected }: Props) {
  const [said, setSaid] = useState('');
  useEffect(() => setSaid(''), [text]);
  const copy = async () => {
    if (await copied(text)) return setSaid('Copied.');
    const element = selected?.();
    if (element) getSelection()?.selectAllChildren(element);
    return setSaid(element ? 'Selected: copy it with Ctrl+C.' : 'The browser does not allow it.');
  };
  return (
    <>
      <button type="button" class={children ? '' : 'copy'} title={label} aria-label={children ? undefined : label} onClick={copy}>
        {children ?? <Sign />}
      </button>
      <small role="status">{said}</small>
    </>
  );
}

/** Two sheets, one behind the other. Fonts seldom have such a sign. */
function Sign() {
  return (
    <svg width="11" height="11" viewBox="0 0 11 11" fill="none" stroke="currentColor" aria-hidden="true">
      <path d="M3.5 3.5h7v7h-7z M7.5 3.5v-3h-7v7h3" />
    </svg>
  );
}

/** Copies a text, and returns whether the browser did. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard is there for secure origins alone, which a host name without TLS is not. The old way has no such rule.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    return isDone;
  }
}
