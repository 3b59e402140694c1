// Makes profiles to test with.

import { Function, Label, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from 'pprof-format';
import { byLeaf, type Told } from '../src/lines';

export interface Made {
  /** Root first; a list is one location with functions inlined into its first. */
  stack: (string | string[])[];
  values: (number | bigint)[];
  thread?: string;
  /** Further labels. */
  labels?: Record<string, string>;
}

/** What is told of stacks by a server that tells nothing. */
export const NOTHING_TOLD: Told = { details: new Map(), suspicions: new Map(), leadOf: byLeaf };

const TYPES = ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'];

/** A message. A function `name` or `name:7` is in `/src/name.rs`, at that line or at one of its own. */
export function profileOf(samples: Made[], types: string[] = TYPES): Uint8Array<ArrayBuffer> {
  const strings = new StringTable();
  const functions = new Map<string, Function>();
  const locations = new Map<string, Location>();
  const functionOf = (name: string) => {
    if (!functions.has(name)) {
      const id = functions.size + 1;
      const filename = strings.dedup(`/src/${name.replace(/\W+/g, '_')}.rs`);
      functions.set(name, new Function({ id, name: strings.dedup(name), systemName: strings.dedup(name), filename, startLine: 0 }));
    }
    return functions.get(name)!;
  };
  const locationOf = (names: string[]) => {
    const key = names.join();
    if (!locations.has(key)) {
      const id = locations.size + 1;
      // Innermost first.
      const line = names.toReversed().map((said) => {
        const [, name, line] = /^(.*?)(?::(\d+))?$/.exec(said)!;
        const of = functionOf(name!);
        return new Line({ functionId: of.id, line: line ? Number(line) : name!.length });
      });
      locations.set(key, new Location({ id, mappingId: 1, address: 0x1000 + id, line }));
    }
    return locations.get(key)!;
  };
  return new Profile({
    sampleType: types.map((type) => new ValueType({ type: strings.dedup(type), unit: strings.dedup('bytes') })),
    sample: samples.map(({ stack, values, thread, labels }) => {
      const path = stack.map((at) => locationOf(typeof at === 'string' ? [at] : at));
      const all = { ...labels, ...(thread !== undefined && { thread }) };
      const label = Object.entries(all).map(([key, text]) => new Label({ key: strings.dedup(key), str: strings.dedup(text) }));
      return new Sample({ locationId: path.toReversed().map(({ id }) => id), value: values.map((value) => BigInt.asUintN(64, BigInt(value))), label });
    }),
    mapping: [new Mapping({ id: 1, filename: strings.dedup('/bin/program') })],
    location: [...locations.values()],
    function: [...functions.values()],
    stringTable: strings,
    timeNanos: 1_795_518_114_000_000_000n,
    durationNanos: types === TYPES ? 0 : 2_000_000_000,
    period: types === TYPES ? 0 : 10_000_000,
  }).encode() as Uint8Array<ArrayBuffer>;
}
