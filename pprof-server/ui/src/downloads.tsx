// The profiles that are shown can be downloaded here, and a command is shown that shows the same elsewhere.

import { useEffect, useMemo, useState } from 'preact/hooks';
import type { File } from './shown';
import { bytes } from './units';

export function Downloads({ before, after, command }: { before: File | null; after: File; command: string }) {
  const [said, setSaid] = useState('');
  useEffect(() => setSaid(''), [command]);
  return (
    <section class="downloads" aria-label="Downloads">
      {before && <Download title="before" file={before} />}
      <Download title={before ? 'after' : 'profile'} file={after} />
      <code tabIndex={0} role="group" aria-label="Command for the same view">
        {command}
      </code>
      <button
        type="button"
        onClick={() =>
          navigator.clipboard
            ? navigator.clipboard.writeText(command).then(
                () => setSaid('Copied.'),
                () => setSaid('The browser does not allow it.'),
              )
            : setSaid('The browser allows it on localhost alone.')
        }
      >
        Copy
      </button>
      <span role="status">{said}</span>
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
