// This shortens names of functions for places with little room.

import type { Frame } from './answers';

/**
 * Returns the end of a path, from the module that a function or its type is in: `reader::Reader::start` for
 * `demo_leak::reader::Reader::start`. A type and its trait keep their own names: `<Reader as Display>::fmt`.
 */
export function shortName(name: string): string {
  if (name.startsWith('<')) return name.replace(/(?:\w+::)+(?=\w)/g, (path, at: number) => (name[at - 1] === ':' ? path : ''));
  const generics = name.search(/[<{(]/);
  const path = generics === -1 ? name : name.slice(0, generics);
  const segments = path.split('::');
  // The module is the last segment before the type, which begins with a capital letter, or before the function.
  const last = segments.length - 1 - (segments.at(-1) === '' ? 1 : 0);
  const type = segments.findIndex((segment) => /^[A-Z]/.test(segment));
  const keep = Math.max(0, type === -1 ? last - 1 : type - 1);
  return segments.slice(keep).join('::') + (generics === -1 ? '' : name.slice(generics));
}

/**
 * Returns `text` as a search compares it, because compilers write both `<demo::Reader>::start` and `demo::Reader::start`, and
 * both `{{closure}}` and `{closure#0}`.
 */
export function searchable(text: string): string {
  return text.toLowerCase().replace(/[<>]/g, '').replace(/\{\{closure\}\}/g, '{closure');
}

/** Returns the crate of a function, or of the type that has it. The text is empty if the name does not tell. */
export function crateOf(name: string): string {
  return /^[<&*\s]*(?:dyn |mut |impl )*([A-Za-z_]\w*)::/.exec(name)?.[1] ?? '';
}

/**
 * Returns a file from the folder of its crate on, as in `tokio-1.0.0/src/lib.rs`, `library/core/src/ops/function.rs` and
 * `demo-leak/src/reader.rs`. The rest of the path only tells where it was built.
 */
export function shortPlace(place: string): string {
  return (
    /\/registry\/src\/[^/]+\/(.+)/.exec(place)?.[1] ??
    /\/(library\/(?:alloc|core|std|test|proc_macro|backtrace|hashbrown)\/.+)/.exec(place)?.[1] ??
    /([^/]+\/(?:src|examples|tests|benches)\/.+)/.exec(place)?.[1] ??
    place
  );
}

/** Returns as much of `file:line` as is known. */
export function placeOf(frame: Readonly<Pick<Frame, 'file' | 'line'>>): string {
  return frame.file && frame.line ? `${frame.file}:${frame.line}` : frame.file;
}
