// Two moments are chosen by name here: the one to compare with, and the one that is shown. The handles of the time line do the
// same. There is also a way to mark this moment.

import { useRef, useState } from 'preact/hooks';
import { inWords } from './poll';
import type { History } from './answers';
import { Chip } from './chip';
import type { Baseline } from './shown';
import { clock, duration, things } from './units';
import { isMarkName, type Moment, type View } from './view';

/** How many seconds ago the moments are that are offered. */
const AGO = [60, 300, 900, 3600, 21_600, 86_400];

interface Props {
  readonly history: History;
  readonly view: Pick<View, 'from' | 'to' | 'capture'>;
  /** A file that is compared with, instead of `from`. */
  readonly baseline: Baseline | null;
  readonly onLeaveCapture: () => void;
  /** Compares with a file, or with none. */
  readonly onCompare: (file: File | null) => void;
  readonly onChoose: (from: Moment | null, to: Moment | null) => void;
  readonly onMark: (name: string, replaces: boolean) => Promise<void>;
}

export function Choice({ history, view, baseline, onChoose, onLeaveCapture, onCompare, onMark }: Props) {
  const { from, to, capture } = view;
  return (
    <>
      {capture ? (
        <Chip text={`Capture ${clock(capture.start)}, ${duration(capture.seconds)}`} onLeave={onLeaveCapture} />
      ) : (
        <>
          {baseline ? (
            <span>
              From <Chip text={baseline.file.name} onLeave={() => onCompare(null)} />
            </span>
          ) : (
            <From history={history} from={from} to={to} onChoose={onChoose} />
          )}
          <To history={history} from={from} to={to} onChoose={onChoose} />
        </>
      )}
      <WithFile onCompare={onCompare} />
      <NewMark history={history} onMark={onMark} />
    </>
  );
}

type MomentProps = Pick<Props, 'history' | 'onChoose'> & Pick<View, 'from' | 'to'>;

function To({ history, from, to, onChoose }: MomentProps) {
  return (
    <label>
      to{' '}
      <select name="to" value={chosen(to)} onChange={(event) => onChoose(from, momentOf(event.currentTarget.value))}>
        <option value="">now</option>
        <Marks history={history} />
        {typeof to === 'number' && <option value={String(to)}>{clock(to)}</option>}
      </select>
    </label>
  );
}

const chosen = (moment: Moment | null) => (moment === null ? '' : String(moment));

function momentOf(value: string): Moment | null {
  if (value === '') return null;
  return /^\d/.test(value) ? Number(value) : value;
}

function From({ history, from, to, onChoose }: MomentProps) {
  const first = history.records[0]?.time_nanos ?? null;
  const now = history.now.time_nanos / 1e9;
  const past = first === null ? [] : AGO.filter((seconds) => now - seconds >= first / 1e9);
  return (
    <label>
      From{' '}
      <select
        name="from"
        value={chosen(from)}
        onChange={(event) => {
          const { value } = event.currentTarget;
          const ago = /^-(\d+)$/.exec(value);
          onChoose(ago ? now - Number(ago[1]) : momentOf(value), to);
        }}
      >
        <option value="">all in use (no comparison)</option>
        {first !== null && <option value={String(first / 1e9)}>first record, {clock(first / 1e9)}</option>}
        {past.map((seconds) => (
          <option key={seconds} value={`-${seconds}`}>
            {duration(seconds)} ago
          </option>
        ))}
        <Marks history={history} />
        {typeof from === 'number' && from * 1e9 !== first && <option value={String(from)}>{clock(from)}</option>}
      </select>
    </label>
  );
}

function Marks({ history }: Pick<Props, 'history'>) {
  return (
    <>
      {history.marks.map(({ name, time_nanos }) => (
        <option key={name} value={name}>
          mark {name}, {clock(time_nanos / 1e9)}
        </option>
      ))}
    </>
  );
}

/** The choice of a profile in a file, from another run or from before a deploy. */
function WithFile({ onCompare }: Pick<Props, 'onCompare'>) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" title="A heap profile that was kept, such as heap-….pb.gz" onClick={() => input.current?.click()}>
        Compare with a file…
      </button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label="Profile to compare with"
        accept=".gz,.pb,.pprof,.out"
        onChange={(event) => {
          const { files } = event.currentTarget;
          if (files?.[0]) onCompare(files[0]);
          // So the same file can be chosen again.
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}

/** Says why a mark is not set. */
function conflictWith(name: string, marks: History['marks']): string {
  return marks.some((mark) => mark.name === name)
    ? `There is a mark ${name} already. Replace it, or choose another name.`
    : `There is no room for more than the ${things(marks.length, 'mark')} that are set. Choose the name of one to replace it.`;
}

function NewMark({ history: { marks }, onMark }: Pick<Props, 'history' | 'onMark'>) {
  const [name, setName] = useState('');
  const [said, setSaid] = useState('');
  const [isTaken, setTaken] = useState(false);
  return (
    <form
      class="new-mark"
      onSubmit={async (event) => {
        event.preventDefault();
        if (!isMarkName(name)) return setSaid('A name begins with a letter; letters, digits, “.”, “_” and “-” follow.');
        try {
          await onMark(name, isTaken);
          setSaid(`Marked as ${name}.`);
          setTaken(false);
        } catch (failure) {
          const isConflict = (failure as { status?: number }).status === 409;
          setTaken(isConflict && marks.some((mark) => mark.name === name));
          setSaid(isConflict ? conflictWith(name, marks) : inWords(failure));
        }
        return undefined;
      }}
    >
      <label>
        Mark{' '}
        <input
          type="text"
          name="mark"
          required
          maxLength={64}
          placeholder="before-deploy"
          value={name}
          onInput={(event) => {
            setName(event.currentTarget.value);
            setTaken(false);
            setSaid('');
          }}
        />
      </label>
      <button type="submit">{isTaken ? 'Replace mark' : 'Mark now'}</button>
      <span class="said" role="status">
        {said}
      </span>
    </form>
  );
}
