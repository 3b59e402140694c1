// This reads what `go tool pprof -top` says of a profile, function by function, to the byte.

import { execFileSync } from 'node:child_process';

/** Runs the command that the page shows, in `folder`, for all functions and in whole units. */
export function top(command, folder, type) {
  const unit = type === 'cpu' || type === 'delay' ? '-unit=ns ' : type.endsWith('_space') ? '-unit=bytes ' : '';
  const all = '-nodecount=1000000 -nodefraction=0 -edgefraction=0';
  const said = execFileSync('sh', ['-c', command.replace(/-top -cum|-http=:/, `-top -cum ${unit}${all}`)], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const totals = new Map();
  for (const line of said.split('\n')) {
    const row = /^\s*(-?[\d.]+)(?:B|ns)?\s+\S+%?\s+\S+%\s+(-?[\d.]+)(?:B|ns)?\s+\S+%\s+(.+)$/.exec(line);
    if (!row) continue;
    const [, flat, cum, name] = row;
    if (!/^-?\d+$/.test(flat) || !/^-?\d+$/.test(cum)) throw new Error(`not in whole units: ${line}`);
    totals.set(name.replace(/ \((partial-)?inline\)$/, ''), [Number(flat), Number(cum)]);
  }
  if (totals.size === 0 && !said.includes('Total samples = 0')) throw new Error(`no functions in what pprof says:\n${said}`);
  return totals;
}

/** Returns every function that differs. One that either side leaves out must have nothing. */
export function differences(ours, theirs) {
  const names = new Set([...ours.keys(), ...theirs.keys()]);
  return [...names].flatMap((name) => {
    const [a, b] = [ours.get(name) ?? [0, 0], theirs.get(name) ?? [0, 0]];
    return a[0] === b[0] && a[1] === b[1] ? [] : [`${name}: the page ${a}, pprof ${b}`];
  });
}
