// This runs the demo, and kills it when this process ends. It also plays clients of the demo who stay.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

const children = [];
/** The addresses of the demos' proxies, by those of their pages. */
const proxies = new Map();
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
      const found = /^proxy: *(\S+)\npprof: *(http:\S+)/m.exec(said);
      if (!found) return;
      proxies.set(found[2], found[1]);
      resolve(found[2]);
    });
    child.on('exit', (status) => reject(new Error(`the demo ended with ${status}: ${said}`)));
  });
}

/** Makes `many` connections to the demo whose page is at `page`, says something on each and hears it back, and keeps them all open. */
export function visit(page, many) {
  const { hostname, port } = new URL(`tcp://${proxies.get(page)}`);
  const one = async () => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.write('a line\n');
    await once(socket, 'data');
    return socket;
  };
  return Promise.all(Array.from({ length: many }, one));
}
