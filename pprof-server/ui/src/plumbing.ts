// Plumbing is the functions of the standard library, of allocators and of runtimes, and those in which threads begin.
//
// The server says by which regular expression they are found, and has already left out the leaf-side run of them. What is
// hidden here is the plumbing further out: iterator adaptors, closures called through `FnOnce`, thread starts, and the
// runtime that polls.

import type { Frame, Profile, Values } from './profile';

export interface Hidden {
  readonly profile: Profile;
  /** The sums of the stacks that had nothing else on them. pprof drops such stacks, and so do we. */
  readonly dropped: Values;
}

/** Returns whether `plumbing` is found in a function's name or file. */
export function isPlumbing(plumbing: RegExp, name: string, file: string): boolean {
  return plumbing.test(name) || plumbing.test(file);
}

/**
 * Returns `profile` without the functions in whose name, file or object file `pattern` is found, as `go tool pprof -hide=PATTERN`
 * shows it.
 */
export function hide(profile: Profile, pattern: RegExp): Hidden {
  const verdicts = new Map<Frame, boolean>();
  const isHidden = (frame: Frame) => {
    let verdict = verdicts.get(frame);
    if (verdict === undefined) {
      verdict = pattern.test(frame.name) || pattern.test(frame.file) || pattern.test(frame.mapping);
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
