// Two moments are chosen by name here: the one to compare with, and the one that is shown. The handles of the time line do the
// same. There is also a way to mark this moment.

import { useState } from 'preact/hooks';
import { inWords } from './poll';
import type { History } from './answers';
import { clock, duration } from './units';
import { isMarkName, type Moment } from './view';

/** How many seconds ago the moments are that are offered. */
const AGO = [60, 300, 900, 3600, 21_600, 86_400];

interface Props {
  readonly history: History;
  readonly from: Moment | null;
  readonly to: Moment | null;
  readonly onChoose: (from: Moment | null, to: Moment | null) => void;
  readonly onMark: (name: string, replaces: boolean) => Promise<void>;
}

export function Choice({ history, from, to, onChoose, onMark }: Props) {
  const first = history.records[0]?.time_nanos ?? null;
  const now = history.now.time_nanos / 1e9;
  const past = first === null ? [] : AGO.filter((seconds) => now - seconds >= first / 1e9);
  const chosen = (moment: Moment | null) => (moment === null ? '' : String(moment));
  const moment = (value: string): Moment | null => {
    if (value === '') return null;
    return /^\d/.test(value) ? Number(value) : value;
  };
  return (
    <>
      <label>
        From{' '}
        <select
          name="from"
          value={chosen(from)}
          onChange={(event) => {
            const { value } = event.currentTarget;
            const ago = /^-(\d+)$/.exec(value);
            onChoose(ago ? now - Number(ago[1]) : moment(value), to);
          }}
        >
          <option value="">nothing: all in use</option>
          {first !== null && <option value={String(first / 1e9)}>first record, {clock(first / 1e9)}</option>}
          {past.map((seconds) => (
            <option key={seconds} value={`-${seconds}`}>
              {duration(seconds)} ago
            </option>
          ))}
          {history.marks.map(({ name, time_nanos }) => (
            <option key={name} value={name}>
              mark {name}, {clock(time_nanos / 1e9)}
            </option>
          ))}
          {typeof from === 'number' && from * 1e9 !== first && <option value={String(from)}>{clock(from)}</option>}
        </select>
      </label>
      <label>
        to{' '}
        <select
          name="to"
          value={chosen(to)}
          onChange={(event) => onChoose(from, moment(event.currentTarget.value))}
        >
          <option value="">now</option>
          {history.marks.map(({ name, time_nanos }) => (
            <option key={name} value={name}>
              mark {name}, {clock(time_nanos / 1e9)}
            </option>
          ))}
          {typeof to === 'number' && <option value={String(to)}>{clock(to)}</option>}
        </select>
      </label>
      <NewMark onMark={onMark} />
    </>
  );
}

function NewMark({ onMark }: Pick<Props, 'onMark'>) {
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
          setTaken((failure as { status?: number }).status === 409);
          setSaid(inWords(failure));
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
