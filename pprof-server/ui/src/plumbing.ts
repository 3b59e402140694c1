// Whose code a function is: the program's own, a library's, or plumbing.
//
// Plumbing is the functions of the standard library, of allocators and of runtimes, and those in which threads begin. The
// server says by which regular expressions both are found, and has already left out the leaf-side run of plumbing. What is
// hidden here is what lies further out: iterator adaptors, closures called through `FnOnce`, thread starts, the runtime that
// polls, and the server library that calls the program's handlers.

import type { Frame as Called, History } from './answers';
import { crateOf } from './names';
import { sumOf, type Frame, type Profile, type Values } from './profile';
import type { Hides } from './view';

export type Owner = 'own' | 'library' | 'plumbing';

/** What tells whose code a function is, and what is left out. */
export class Owners {
  private readonly plumbing: RegExp;
  private readonly libraries: RegExp;
  private readonly both: RegExp;

  constructor(
    private readonly said: Pick<History, 'plumbing' | 'libraries'>,
    /** The name of the program's file. It mostly is that of its own crate. */
    private readonly program: string,
  ) {
    this.plumbing = new RegExp(said.plumbing);
    this.libraries = new RegExp(said.libraries);
    this.both = new RegExp(this.pattern('libraries')!);
  }

  /** Returns whose a function is. Where no file is known, only functions of the program's own crate count as own. */
  of({ function: name, file }: Pick<Called, 'function' | 'file'>): Owner {
    if (isHidden(this.plumbing, name, file)) return 'plumbing';
    if (file) return this.libraries.test(file) ? 'library' : 'own';
    return crateOf(name) === this.program.replaceAll('-', '_') ? 'own' : 'library';
  }

  /** Returns what finds the functions to leave out; `null` if none are. */
  hidden(hides: Hides): RegExp | null {
    return { nothing: null, std: this.plumbing, libraries: this.both }[hides];
  }

  /** Returns the same as `go tool pprof -hide` reads it. */
  pattern(hides: Hides): string | null {
    const { plumbing, libraries } = this.said;
    return { nothing: null, std: plumbing, libraries: `${plumbing}|${libraries}` }[hides];
  }
}

export interface Hidden {
  readonly profile: Profile;
  /** The sums of the stacks that had nothing else on them. pprof drops such stacks, and so do we. */
  readonly dropped: Values;
}

/** Returns whether `pattern` is found in a function's name or file. */
export function isHidden(pattern: RegExp, name: string, file: string): boolean {
  return pattern.test(name) || pattern.test(file);
}

/**
 * Returns `profile` without the functions in whose name, file or object file `pattern` is found, as `go tool pprof -hide=PATTERN`
 * shows it.
 */
export function hide(profile: Profile, pattern: RegExp): Hidden {
  const verdicts = new Map<Frame, boolean>();
  const isLeftOut = (frame: Frame) => {
    let verdict = verdicts.get(frame);
    if (verdict === undefined) {
      verdict = isHidden(pattern, frame.function, frame.file) || pattern.test(frame.mapping);
      verdicts.set(frame, verdict);
    }
    return verdict;
  };
  const all = profile.stacks.map((stack) => ({ ...stack, frames: stack.frames.filter((frame) => !isLeftOut(frame)) }));
  const stacks = all.filter(({ frames }) => frames.length > 0);
  const dropped = sumOf(profile.types.length, all.filter(({ frames }) => frames.length === 0));
  return { profile: { ...profile, stacks }, dropped };
}
