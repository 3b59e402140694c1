// This decodes a profile as the server sends it: stacks with their four values, names, and comments.
//
// It does so for every profile that is shown. The profile is the very file that the user downloads, so the page and
// `go tool pprof` see the same numbers.

import { Profile as Message } from 'pprof-format';
import { SAMPLE_TYPES } from './sample_type';

/** A function on a stack. Equal ones are one object, so that they compare by identity. */
export interface Frame {
  readonly name: string;
  /** Empty if unknown. */
  readonly file: string;
  /** 0 if unknown. */
  readonly line: number;
  /** Whether it was compiled into its caller. */
  readonly isInlined: boolean;
  /** The object file it is in. */
  readonly mapping: string;
}

/** One value for each of `SAMPLE_TYPES`. */
export type Values = readonly [number, number, number, number];

export interface Stack {
  /** The leaf is the first. */
  readonly frames: readonly Frame[];
  readonly values: Values;
}

export interface Profile {
  /** The name of the program's file; empty if unknown. */
  readonly program: string;
  readonly stacks: readonly Stack[];
  /** Since 1970 UTC. */
  readonly seconds: number;
  /** The time between the two ends of a difference; 0 for a snapshot. */
  readonly durationSeconds: number;
  /** Sentences of the server's that say how sure the figures are, and what is missing. */
  readonly comments: readonly string[];
}

/** Decodes a profile, of which `gzipped` is the body of the answer. Throws an error with a sentence if it is no heap profile. */
export async function decode(gzipped: Uint8Array<ArrayBuffer>): Promise<Profile> {
  const inflated = new Blob([gzipped]).stream().pipeThrough(new DecompressionStream('gzip'));
  return read(new Uint8Array(await new Response(inflated).arrayBuffer()));
}

/** Does the same with a message that is not compressed. */
export function read(message: Uint8Array<ArrayBuffer>): Profile {
  const profile = Message.decode(message);
  const text = (index: number | bigint) => profile.stringTable.strings[Number(index)] ?? '';
  const columns = SAMPLE_TYPES.map((type) => profile.sampleType.findIndex((value) => text(value.type) === type));
  const missing = SAMPLE_TYPES.find((_, index) => columns[index] === -1);
  if (missing) throw new Error(`this is no heap profile: it has no ${missing}`);

  const functions = new Map(profile.function.map((one) => [Number(one.id), one]));
  const mappings = new Map(profile.mapping.map((one) => [Number(one.id), text(one.filename)]));
  const frames = new Frames();
  const locations = new Map(
    profile.location.map((location) => {
      const mapping = mappings.get(Number(location.mappingId)) ?? '';
      const lines = location.line.map((line, index) => {
        const of = functions.get(Number(line.functionId));
        return frames.one({
          name: (of && text(of.name)) || address(location.address),
          file: of ? text(of.filename) : '',
          line: Number(line.line),
          // The innermost is the first. The last is the function that all of them were compiled into.
          isInlined: index < location.line.length - 1,
          mapping,
        });
      });
      if (lines.length > 0) return [String(location.id), lines];
      return [String(location.id), [frames.one({ name: address(location.address), file: '', line: 0, isInlined: false, mapping })]];
    }),
  );

  const stacks = new Stacks();
  for (const sample of profile.sample) {
    const values = columns.map((column) => whole(sample.value[column] ?? 0)) as unknown as Values;
    stacks.add(sample.locationId.flatMap((id) => locations.get(String(id)) ?? []), values);
  }
  return {
    // The first mapping is the program's own.
    program: text(profile.mapping[0]?.filename ?? 0).replace(/^.*\//, ''),
    stacks: stacks.all(),
    seconds: Number(profile.timeNanos) / 1e9,
    durationSeconds: Number(profile.durationNanos) / 1e9,
    comments: profile.comment.map(text),
  };
}

/** Subtracts `before` from `after` stack by stack, as `go tool pprof -diff_base` does. */
export function difference(before: Profile, after: Profile): Profile {
  const stacks = new Stacks();
  const frames = new Frames();
  for (const { frames: of, values } of after.stacks) stacks.add(of.map((frame) => frames.one(frame)), values);
  for (const { frames: of, values } of before.stacks) {
    stacks.add(of.map((frame) => frames.one(frame)), values.map((value) => -value) as unknown as Values);
  }
  return {
    program: after.program,
    stacks: stacks.all().filter((stack) => stack.values.some((value) => value !== 0)),
    seconds: after.seconds,
    durationSeconds: after.seconds - before.seconds,
    comments: [],
  };
}

/** Returns the sum over all stacks. */
export function total(profile: Profile): Values {
  const sum = [0, 0, 0, 0] as [number, number, number, number];
  for (const { values } of profile.stacks) values.forEach((value, index) => (sum[index]! += value));
  return sum;
}

/** Returns whether this is a difference: it has a duration or a negative value. */
export function isDifference(profile: Profile): boolean {
  return profile.durationSeconds > 0 || profile.stacks.some(({ values }) => values.some((value) => value < 0));
}

/** Returns the name of a location that has none. */
function address(value: number | bigint): string {
  return `0x${BigInt(value).toString(16)}`;
}

/** Returns an int64, which the decoder leaves without its sign. Throws beyond 8 PiB, where a number would not be exact. */
function whole(value: number | bigint): number {
  const number = Number(BigInt.asIntN(64, BigInt(value)));
  if (!Number.isSafeInteger(number)) throw new Error(`a value of the profile is too large to be shown exactly: ${number}`);
  return number;
}

/** Makes equal frames one object. */
class Frames {
  private readonly known = new Map<string, Frame>();

  one(frame: Frame): Frame {
    const key = [frame.name, frame.file, frame.line, frame.isInlined, frame.mapping].join('\0');
    const known = this.known.get(key);
    if (known) return known;
    this.known.set(key, frame);
    return frame;
  }
}

/** Adds up the values of equal stacks, because a profile has one sample for each size class. */
class Stacks {
  private readonly ids = new Map<Frame, number>();
  private readonly sums = new Map<string, { frames: readonly Frame[]; values: [number, number, number, number] }>();

  add(frames: readonly Frame[], values: Values): void {
    const key = frames.map((frame) => this.id(frame)).join();
    const known = this.sums.get(key);
    if (known) values.forEach((value, index) => (known.values[index]! += value));
    else this.sums.set(key, { frames, values: [...values] });
  }

  all(): Stack[] {
    return [...this.sums.values()];
  }

  private id(frame: Frame): number {
    const known = this.ids.get(frame);
    if (known !== undefined) return known;
    this.ids.set(frame, this.ids.size);
    return this.ids.size - 1;
  }
}
