// The profiles that are shown can be downloaded here, a command is shown that shows the same elsewhere, and the page can be kept
// as a file.

import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Copy } from './copy';
import type { File } from './shown';
import { bytes } from './units';

interface Props {
  readonly before: File | null;
  readonly after: File;
  readonly command: string;
  /** Saves the page as a file that needs no server; `null` if it is such a file. */
  readonly onKeep: (() => void) | null;
}

export function Downloads({ before, after, command, onKeep }: Props) {
  const code = useRef<HTMLElement>(null);
  return (
    <section class="downloads" aria-label="Downloads">
      {before && <Download title="before" file={before} />}
      <Download title={before ? 'after' : 'profile'} file={after} />
      {onKeep && (
        <button type="button" title="Save what is shown as one file that works without the program" onClick={onKeep}>
          Save as HTML
        </button>
      )}
      <code ref={code} tabIndex={0} role="group" aria-label="Command for the same view">
        {command}
      </code>
      <Copy text={command} label="Copy the command" selected={() => code.current}>
        Copy
      </Copy>
    </section>
  );
}

/** A link to the very bytes that were fetched and are shown. */
function Download({ title, file }: { title: string; file: File }) {
  const url = useMemo(() => URL.createObjectURL(new Blob([file.bytes], { type: 'application/octet-stream' })), [file]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <a href={url} download={file.name}>
      Download {title} <small>({bytes(file.bytes.length)})</small>
    </a>
  );
}
