// These are the columns of the table of lines.

import { valuesOf, type Known, type Line } from './lines';
import { shortName } from './names';
import { indexOf, total, type Profile } from './profile';
import { CPU_TYPES, format, GOROUTINE_TYPES, LOCK_TYPES, SAMPLE_TYPES, type SampleType, type Types } from './sample_type';
import type { Shown } from './shown';
import { count, duration, percent } from './units';

export interface Column {
  readonly id: string;
  readonly header: string;
  readonly title: string;
  /** What rows are sorted by; `undefined` if it is not known. */
  readonly value: (line: Line) => number | string | undefined;
  readonly text: (line: Line) => string;
  /** Whether it has words, which stand at the left. */
  readonly hasWords?: boolean;
}

const UNKNOWN = '–';

/** What the column of the place is called. */
const FIRST_FRAME = 'The first function on the stack that is not left out, and its line';
const PLACES = new Map<Types, Pick<Column, 'header' | 'title'>>([
  [SAMPLE_TYPES, { header: 'allocated by', title: FIRST_FRAME }],
  [CPU_TYPES, { header: 'busy in', title: FIRST_FRAME }],
  [LOCK_TYPES, { header: 'at', title: FIRST_FRAME }],
  [GOROUTINE_TYPES, { header: 'at', title: 'The innermost line of the program’s own code, or where there is none, the innermost that is not left out' }],
]);

/** The columns of numbers that each kind of profile has. */
const NUMBERS = new Map<Types, (profile: Profile, shown: Shown) => Column[]>([
  [SAMPLE_TYPES, (_, shown) => ofHeap(shown)],
  [CPU_TYPES, ofCpu],
  [GOROUTINE_TYPES, ofThreads],
  [LOCK_TYPES, ofLocks],
]);

/** Returns the columns for `profile`, which is what is left of `shown`. */
export function columnsOf(shown: Shown, profile: Profile, isNarrow: boolean): Column[] {
  const numbers = NUMBERS.get(profile.types)!(profile, shown);
  const place: Column = {
    id: 'place',
    ...PLACES.get(profile.types)!,
    value: ({ name }) => name,
    text: ({ name }) => name,
  };
  // In a narrow window, the numbers are what scrolls out of sight.
  return isNarrow ? [place, ...numbers] : [...numbers, place];
}

function ofHeap({ profile, isDifference, before }: Shown): Column[] {
  const of = (type: SampleType, header: string, title: string) => sum(profile, type, isDifference, header, title);
  const inuse = indexOf(profile, 'inuse_space');
  return [
    of('inuse_space', isDifference ? 'Δ in use' : 'in use', 'Bytes'),
    known('error', '± std. error', 'One standard error of the bytes in use', ({ error }) => error, 'inuse_space', false),
    ...(isDifference && before !== null
      ? [
          {
            id: 'end',
            header: 'in use',
            title: 'Bytes in use at the end',
            value: ({ end }: Line) => end?.[inuse],
            text: ({ end }: Line) => (end ? format('inuse_space', end[inuse]!) : UNKNOWN),
          },
        ]
      : []),
    of('inuse_objects', isDifference ? 'Δ objects' : 'objects', 'Blocks in use'),
    of('alloc_space', 'allocated', 'Bytes allocated, freed or not'),
    of('alloc_objects', 'objects allocated', 'Blocks allocated, freed or not'),
    known('samples', 'samples', 'The samples on which what is in use rests', ({ samples }) => samples, 'inuse_objects', isDifference),
    median('Half of what is in use is older'),
  ];
}

function ofThreads(profile: Profile): Column[] {
  const said = (id: string, header: string, title: string, of: Parameters<typeof valuesOf>[1]): Column => {
    const text = (line: Line) => {
      const values = valuesOf(line, of);
      // Where there is one value, the number of the row says how many have it.
      return values.map(([value, many]) => (values.length > 1 ? `${value} ${count(many)}` : value)).join(', ') || UNKNOWN;
    };
    return { id, header, title, text, value: text, hasWords: true };
  };
  return [
    sum(profile, 'goroutine', false, 'how many', 'Threads are counted, and tasks are estimated from the samples of the heap'),
    known('error', '± std. error', 'One standard error of the number of tasks; of threads it is 0', ({ error }) => error, 'goroutine', false),
    said('kind', 'kind', 'Threads of the system, or tasks of a runtime', ({ kind }) => kind),
    said('state', 'state', 'What they do: a task that is complete has ended, and somebody holds its handle', ({ state, unread }) => state ?? (unread && `not read: ${unread}`)),
    {
      id: 'waits',
      header: 'waits in',
      title: 'The system call in which threads wait, and the function that tasks wait for',
      value: waitsIn,
      text: waitsIn,
      hasWords: true,
    },
    median('Half of the tasks are older'),
    {
      id: 'oldest',
      header: 'oldest',
      title: 'The time since the oldest task was spawned',
      value: ({ oldest }) => oldest ?? undefined,
      text: ({ oldest }) => (oldest === null ? UNKNOWN : duration(oldest)),
    },
    {
      id: 'suspicion',
      header: 'suspected',
      title: 'These tasks belong to one of the suspects of the heap',
      value: ({ suspicion }) => suspicion?.rank,
      text: ({ suspicion }) => suspicion?.title ?? '',
      hasWords: true,
    },
  ];
}

/** Says in which system call threads wait, and for which function of a library tasks do. */
function waitsIn(line: Line): string {
  const calls = valuesOf(line, ({ waits }) => waits).map(([call]) => call);
  const functions = line.stacks.flatMap(({ labels, whole }) =>
    labels.kind === 'task' && labels.state && whole[0] && whole[0] !== line.frame ? [shortName(whole[0].function)] : [],
  );
  return [...new Set([...calls, ...functions])].join(', ') || UNKNOWN;
}

/** The column of the median age. */
function median(title: string): Column {
  return {
    id: 'age',
    header: 'age, median',
    title: `${title}. Of several stacks, it is the least and the greatest median`,
    value: ({ age }: Line) => age?.most,
    text: ({ age }: Line) => (age ? [...new Set([duration(age.least), duration(age.most)])].join(' – ') : UNKNOWN),
  };
}

function ofCpu(profile: Profile): Column[] {
  const [samples, cpu] = [indexOf(profile, 'samples'), indexOf(profile, 'cpu')];
  const whole = total(profile)[cpu]!;
  // The samples of a thread fall as if by chance, so their number is off by its root. The server counts errors so too.
  const error = ({ values }: Line) => Math.sqrt(values[samples]!) * profile.period;
  const column = (id: string, header: string, title: string, value: (line: Line) => number, text: (value: number) => string): Column => ({
    id,
    header,
    title,
    value,
    text: (line) => text(value(line)),
  });
  return [
    sum(profile, 'cpu', false, 'CPU time', 'Time on a processor'),
    column('error', '± std. error', 'One standard error of the CPU time', error, (value) => format('cpu', value)),
    column('share', 'share', 'Of all that is shown', ({ values }) => values[cpu]!, (value) => percent(value, whole)),
    sum(profile, 'samples', false, 'samples', 'How many periods of its CPU time a thread was on these stacks'),
    column('threads', 'threads', 'How many threads of different names were there', ({ threads }) => threads, (value) => format('samples', value)),
  ];
}

function ofLocks(profile: Profile): Column[] {
  const [contentions, delay] = [indexOf(profile, 'contentions'), indexOf(profile, 'delay')];
  const whole = total(profile)[delay]!;
  const mean = ({ values }: Line) => (values[contentions] ? values[delay]! / values[contentions]! : undefined);
  return [
    sum(profile, 'delay', false, 'waited', 'All waits together, as estimated from samples'),
    {
      id: 'share',
      header: 'share',
      title: 'Of all that is shown',
      value: ({ values }) => values[delay]!,
      text: ({ values }) => percent(values[delay]!, whole),
    },
    sum(profile, 'contentions', false, 'waits', 'How many times, as estimated from samples'),
    {
      id: 'mean',
      header: 'mean',
      title: 'How long one of them lasted',
      value: mean,
      text: (line) => {
        const one = mean(line);
        return one === undefined ? UNKNOWN : format('delay', one);
      },
    },
  ];
}

function sum(profile: Profile, type: SampleType, isDifference: boolean, header: string, title: string): Column {
  const value = ({ values }: Line) => values[indexOf(profile, type)]!;
  return { id: type, header, title, value, text: (line) => format(type, value(line), isDifference) };
}

function known(
  id: string,
  header: string,
  title: string,
  of: (line: Line) => Known | null,
  type: SampleType,
  isDifference: boolean,
): Column {
  const text = ({ value, isLeast }: Known) => `${isLeast ? '≥ ' : ''}${format(type, value, isDifference)}`;
  return {
    id,
    header,
    title,
    value: (line) => of(line)?.value,
    text: (line) => {
      const figure = of(line);
      return figure ? text(figure) : UNKNOWN;
    },
  };
}
