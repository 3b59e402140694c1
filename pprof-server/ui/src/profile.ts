// This decodes a profile as the server sends it: stacks with their four values, names, and comments.
//
// It does so for every profile that is shown. The profile is the very file that the user downloads, so the page and
// `go tool pprof` see the same numbers.

import { Profile as Message } from 'pprof-format';
import type { Frame as Called } from './answers';
import { CPU_TYPES, GOROUTINE_TYPES, LOCK_TYPES, SAMPLE_TYPES, type SampleType, type Types } from './sample_type';

/** A function on a stack. Equal ones are one object, so that they compare by identity. */
export interface Frame extends Readonly<Called> {
  /** The object file it is in. */
  readonly mapping: string;
}

/** One value for each type of the profile. */
export type Values = readonly number[];

export interface Stack {
  /** The leaf is the first. */
  readonly frames: readonly Frame[];
  readonly values: Values;
  /** In a difference, what the stack has at its end. */
  readonly end: Values | null;
  /** All of its frames, where some of them are left out in `frames`. */
  readonly whole: readonly Frame[];
  /** The name of its thread; empty if it has none, or if that is not told. */
  readonly thread: string;
  /** What else is told of the thread or the task whose stack it is. */
  readonly labels: Labels;
  /** The labels that the program gave, such as a tenant. */
  readonly ofProgram: ProgramLabels;
}

/** Values by keys. */
export type ProgramLabels = Readonly<Record<string, string>>;

/** Labels that profiles have themselves. The server lets no program give one of them. */
const RESERVED = new Set(
  ['thread', 'bytes', 'age', 'kind', 'state', 'waits', 'source', 'id', 'idle', 'approximate', 'unread', 'deadlock'],
);

/** Labels by which rows of threads and tasks are told apart. Other profiles have none of them. */
const LABELS = ['kind', 'state', 'waits', 'unread'] as const;
export type Labels = Readonly<Partial<Record<(typeof LABELS)[number], string>>>;

/** What is told of a stack beside its frames. */
type Told = Pick<Stack, 'thread' | 'labels' | 'ofProgram'>;
const NOTHING: Told = { thread: '', labels: {}, ofProgram: {} };

/** What a profile of these types is called. */
const NAMES = new Map<Types, string>([
  [SAMPLE_TYPES, 'heap profile'],
  [CPU_TYPES, 'CPU profile'],
  [GOROUTINE_TYPES, 'profile of threads and tasks'],
  [LOCK_TYPES, 'profile of waits for locks'],
]);

export interface Profile {
  readonly types: Types;
  /** The name of the program's file; empty if unknown. */
  readonly program: string;
  readonly stacks: readonly Stack[];
  /** Since 1970 UTC. */
  readonly seconds: number;
  /** The time between the two ends of a difference; 0 for a snapshot. */
  readonly durationSeconds: number;
  /** What a sample stands for: in a CPU profile, nanoseconds of a thread's CPU time. */
  readonly period: number;
  /** Sentences of the server's that say how sure the figures are, and what is missing. */
  readonly comments: readonly string[];
}

/** No more is decompressed. A profile of the server's has 4 MiB, unless its owner lifts the limit. */
const MAX_INFLATED_BYTES = 256 * 1024 * 1024;

/** Decodes a profile in a file, which is mostly compressed. Throws an error with a sentence if it has other types. */
export async function decode(file: Uint8Array<ArrayBuffer>, types: Types = SAMPLE_TYPES): Promise<Profile> {
  const isGzipped = file[0] === 0x1f && file[1] === 0x8b;
  if (!isGzipped) return read(file, types);
  let room = MAX_INFLATED_BYTES;
  const bounded = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, out) {
      room -= chunk.length;
      if (room < 0) throw new Error(`the profile has more than ${MAX_INFLATED_BYTES >> 20} MiB when it is decompressed`);
      out.enqueue(chunk);
    },
  });
  const inflated = new Blob([file]).stream().pipeThrough(new DecompressionStream('gzip')).pipeThrough(bounded);
  return read(new Uint8Array(await new Response(inflated).arrayBuffer()), types);
}

/** Does the same with a message that is not compressed. */
export function read(message: Uint8Array<ArrayBuffer>, types: Types = SAMPLE_TYPES): Profile {
  const profile = Message.decode(message);
  const text = (index: number | bigint) => profile.stringTable.strings[Number(index)] ?? '';
  const columns = types.map((type) => profile.sampleType.findIndex((value) => text(value.type) === type));
  const missing = types.find((_, index) => columns[index] === -1);
  if (missing) throw new Error(`this is no ${NAMES.get(types)}: it has no ${missing}`);

  const functions = new Map(profile.function.map((one) => [Number(one.id), one]));
  const mappings = new Map(profile.mapping.map((one) => [Number(one.id), text(one.filename)]));
  const frames = new Frames();
  const locations = new Map(
    profile.location.map((location) => {
      const mapping = mappings.get(Number(location.mappingId)) ?? '';
      const lines = location.line.map((line, index) => {
        const of = functions.get(Number(line.functionId));
        return frames.one({
          function: (of && text(of.name)) || address(location.address),
          file: of ? text(of.filename) : '',
          line: Number(line.line),
          // The innermost is the first. The last is the function that all of them were compiled into.
          is_inlined: index < location.line.length - 1,
          mapping,
        });
      });
      if (lines.length > 0) return [String(location.id), lines];
      return [String(location.id), [frames.one({ function: address(location.address), file: '', line: 0, is_inlined: false, mapping })]];
    }),
  );

  const stacks = new Stacks();
  const known = types === GOROUTINE_TYPES ? LABELS : [];
  for (const sample of profile.sample) {
    const values = columns.map((column) => whole(sample.value[column] ?? 0));
    const said = new Map(sample.label.map(({ key, str }) => [text(key), text(str)]));
    const labels: Labels = Object.fromEntries(known.flatMap((key) => (said.has(key) ? [[key, said.get(key)!]] : [])));
    const ofProgram = Object.fromEntries([...said].filter(([key, value]) => value !== '' && !RESERVED.has(key)).sort());
    const path = sample.locationId.flatMap((id) => locations.get(String(id)) ?? []);
    const told = { thread: said.get('thread') ?? '', labels, ofProgram };
    stacks.add(path.length > 0 ? path : [frames.one(UNKNOWN_STACK)], values, null, told);
  }
  return {
    types,
    // The first mapping is the program's own.
    program: text(profile.mapping[0]?.filename ?? 0).replace(/^.*\//, ''),
    stacks: stacks.all(),
    seconds: Number(profile.timeNanos) / 1e9,
    durationSeconds: Number(profile.durationNanos) / 1e9,
    period: Number(profile.period),
    comments: profile.comment.map(text),
  };
}

/** Subtracts `before` from `after` stack by stack, as `go tool pprof -diff_base` does. The past has no labels, so the difference has none. */
export function difference(before: Profile, after: Profile): Profile {
  const stacks = new Stacks();
  const frames = new Frames();
  for (const { frames: of, values } of after.stacks) stacks.add(of.map((frame) => frames.one(frame)), values, values);
  for (const { frames: of, values } of before.stacks) {
    stacks.add(of.map((frame) => frames.one(frame)), values.map((value) => -value), values.map(() => 0));
  }
  return {
    types: after.types,
    program: after.program,
    stacks: stacks.all().filter((stack) => stack.values.some((value) => value !== 0)),
    seconds: after.seconds,
    durationSeconds: after.seconds - before.seconds,
    period: after.period,
    comments: [],
  };
}

/** Returns the sum over all stacks. */
export function total(profile: Profile): Values {
  return sumOf(profile.types.length, profile.stacks);
}

/** Returns the sums of the values of `stacks`, each of which has so many. */
export function sumOf(values: number, stacks: readonly Pick<Stack, 'values'>[]): Values {
  const sums = Array<number>(values).fill(0);
  for (const { values } of stacks) values.forEach((value, index) => (sums[index]! += value));
  return sums;
}

/** Returns the index of a value in those of a sample. */
export function indexOf({ types }: Pick<Profile, 'types'>, type: SampleType): number {
  return (types as readonly SampleType[]).indexOf(type);
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

/** What stands for a stack without frames: what the server's texts call it. */
const UNKNOWN_STACK: Frame = { function: '[unknown stack]', file: '', line: 0, is_inlined: false, mapping: '' };

/** Makes equal frames one object. */
class Frames {
  private readonly known = new Map<string, Frame>();

  one(frame: Frame): Frame {
    const key = [frame.function, frame.file, frame.line, frame.is_inlined, frame.mapping].join('\0');
    const known = this.known.get(key);
    if (known) return known;
    this.known.set(key, frame);
    return frame;
  }
}

interface Sum extends Told {
  frames: readonly Frame[];
  values: number[];
  end: number[] | null;
}

/** Adds up the values of equal stacks with equal labels, because a heap profile has one sample for each size class. */
class Stacks {
  private readonly ids = new Map<Frame, number>();
  private readonly sums = new Map<string, Sum>();

  /** In a difference, `end` is what the stack has at its end. */
  add(frames: readonly Frame[], values: Values, end: Values | null = null, told = NOTHING): void {
    const key = `${frames.map((frame) => this.id(frame)).join()}\n${told === NOTHING ? '' : JSON.stringify(told)}`;
    const known = this.sums.get(key);
    if (known) {
      values.forEach((value, index) => (known.values[index]! += value));
      end?.forEach((value, index) => (known.end![index]! += value));
    } else {
      this.sums.set(key, { ...told, frames, values: [...values], end: end && [...end] });
    }
  }

  all(): Stack[] {
    return [...this.sums.values()].map((sum) => ({ ...sum, whole: sum.frames }));
  }

  private id(frame: Frame): number {
    const known = this.ids.get(frame);
    if (known !== undefined) return known;
    this.ids.set(frame, this.ids.size);
    return this.ids.size - 1;
  }
}
