// Names of functions, shortened for where there is little room.

/**
 * The end of a path, from the module that a function or its type is in: `reader::Reader::start` of
 * `demo_leak::reader::Reader::start`. Of a type and its trait, their own names: `<Reader as Display>::fmt`.
 */
export function shortName(name: string): string {
  if (name.startsWith('<')) return name.replace(/(?:\w+::)+(?=\w)/g, (path, at: number) => (name[at - 1] === ':' ? path : ''));
  const generics = name.search(/[<{(]/);
  const path = generics === -1 ? name : name.slice(0, generics);
  const segments = path.split('::');
  // The module is the last that is followed by the type or function it has: a type begins with a capital letter.
  const last = segments.length - 1 - (segments.at(-1) === '' ? 1 : 0);
  const type = segments.findIndex((segment) => /^[A-Z]/.test(segment));
  const keep = Math.max(0, type === -1 ? last - 1 : type - 1);
  return segments.slice(keep).join('::') + (generics === -1 ? '' : name.slice(generics));
}

/**
 * `text` as it is compared in a search: compilers write `<demo::Reader>::start` and `demo::Reader::start`, `{{closure}}` and
 * `{closure#0}`.
 */
export function searchable(text: string): string {
  return text.toLowerCase().replace(/[<>]/g, '').replace(/\{\{closure\}\}/g, '{closure');
}

/** The crate that a function, or the type whose it is, belongs to; empty if none can be told. */
export function crateOf(name: string): string {
  return /^[<&*\s]*(?:dyn |mut |impl )*([A-Za-z_]\w*)::/.exec(name)?.[1] ?? '';
}

/**
 * A file from the folder of its crate: the rest of the path only tells where it was built. `tokio-1.0.0/src/lib.rs`,
 * `library/core/src/ops/function.rs`, `demo-leak/src/reader.rs`.
 */
export function shortPlace(place: string): string {
  return (
    /\/registry\/src\/[^/]+\/(.+)/.exec(place)?.[1] ??
    /\/(library\/(?:alloc|core|std|test|proc_macro|backtrace|hashbrown)\/.+)/.exec(place)?.[1] ??
    /([^/]+\/(?:src|examples|tests|benches)\/.+)/.exec(place)?.[1] ??
    place
  );
}
