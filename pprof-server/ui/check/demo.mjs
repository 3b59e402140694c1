// This runs the demo, and kills it when this process ends.

import { spawn } from 'node:child_process';

const children = [];
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** Ends the demo that was started last. */
export function endLast() {
  const child = children.at(-1);
  return new Promise((resolve) => {
    child.on('exit', resolve);
    child.kill('SIGKILL');
  });
}

/** Starts `binary` and resolves with the address of its page. */
export function start(binary, options, environment) {
  const child = spawn(binary, ['--listen', '127.0.0.1:0', ...options], {
    env: { ...process.env, PPROF_ADDR: '127.0.0.1:0', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-10_000);
      const found = /^pprof: *(http:\S+)/m.exec(said);
      if (found) resolve(found[1]);
    });
    child.on('exit', (status) => reject(new Error(`the demo ended with ${status}: ${said}`)));
  });
}
