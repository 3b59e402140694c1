// Leaves functions out of stacks, as `go tool pprof -hide=REGEXP` does.
//
// Called where plumbing is hidden. The server has left out the leaf-side run of it already; this is what remains further
// out: iterator adaptors, closures called through `FnOnce`, thread starts, the runtime that polls.

import type { Frame, Profile, Values } from './profile';

const CRATES = 'core|alloc|std|hashbrown';
const PATHS = `(${CRATES}|tokio::(runtime|task|util|loom))::`;
/** A type of theirs, or of nobody's: `alloc::vec::Vec`, `&[_]`, `str`, `T`. */
const TYPES = `[&*]*((const|mut|dyn) )*(${PATHS}[^<> ]*(<[^<>]*>)?|[^:<>]+)`;

/**
 * The standard library, where threads begin, and the inside of tokio, by the file or by the name: what the server takes
 * for plumbing too. A trait of the user's on a type of the standard library is the user's, and so is the reverse. Read by
 * JavaScript and, in the command that the page shows, by Go: nothing in it but what both have.
 */
export const PLUMBING = [
  '^/rustc/[0-9a-f]+/library/|/lib/rustlib/src/rust/library/|^/usr/src/rustc-[^/]+/library/|^/rust/deps/',
  `^${PATHS}|^<${TYPES}( as (${CRATES})::.*)?>::`,
  '/registry/src/[^/]+/(hashbrown-|tokio-)[0-9][^/]*/src/(raw|runtime|task|util|loom)/',
  '^__rust_|^(_start|main|__libc_start_main(_impl)?|__libc_start_call_main|start_thread|(__)?clone3?)$',
  '^(libc|libpthread|ld-linux|ld-musl)[^+]*[+]0x',
].join('|');

export interface Hidden {
  readonly profile: Profile;
  /** Stacks that had nothing else on them; pprof drops them, and so do we. */
  readonly dropped: Values;
}

const PLUMBING_EXPRESSION = new RegExp(PLUMBING);

/** Whether this is plumbing, as far as its name and file tell. */
export function isPlumbing(name: string, file: string): boolean {
  return PLUMBING_EXPRESSION.test(name) || PLUMBING_EXPRESSION.test(file);
}

/** `profile` without the functions whose name, file or object file `pattern` is found in. */
export function hide(profile: Profile, pattern: string): Hidden {
  const expression = new RegExp(pattern);
  const verdicts = new Map<Frame, boolean>();
  const isHidden = (frame: Frame) => {
    let verdict = verdicts.get(frame);
    if (verdict === undefined) {
      verdict = expression.test(frame.name) || expression.test(frame.file) || expression.test(frame.mapping);
      verdicts.set(frame, verdict);
    }
    return verdict;
  };
  const dropped = [0, 0, 0, 0] as [number, number, number, number];
  const stacks = profile.stacks.flatMap(({ frames, values }) => {
    const left = frames.filter((frame) => !isHidden(frame));
    if (left.length > 0) return [{ frames: left, values }];
    values.forEach((value, index) => (dropped[index]! += value));
    return [];
  });
  return { profile: { ...profile, stacks }, dropped };
}
