// `npm run build` makes the page: from `src/` into `dist/`, which is checked in. `node build.mjs --tests` builds the unit
// tests, which go to `build/`.
//
// The same sources and lock file make the same bytes on every machine: nothing of the machine, the time or a path gets
// into them. Licences of what is bundled go to `dist/LICENSES.txt`, and into the script itself, which travels without it.

import { build } from 'esbuild';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

process.chdir(import.meta.dirname);

const options = {
  bundle: true,
  target: ['es2022'],
  charset: 'utf8',
  logLevel: 'warning',
  jsx: 'automatic',
  jsxImportSource: 'preact',
};

if (process.argv.includes('--tests')) {
  rmSync('build', { recursive: true, force: true });
  const entryPoints = readdirSync('test').filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name}`);
  await build({ ...options, entryPoints, outdir: 'build', outExtension: { '.js': '.mjs' }, platform: 'node', format: 'esm' });
} else {
  const { metafile, outputFiles } = await build({
    ...options,
    entryPoints: { ui: 'src/main.tsx' },
    outdir: 'dist',
    format: 'iife',
    minify: true,
    legalComments: 'none',
    metafile: true,
    write: false,
  });
  const notice = licences(Object.keys(metafile.inputs));
  write('dist/LICENSES.txt', notice);
  for (const { path, text } of outputFiles) {
    const name = basename(path);
    write(`dist/${name}`, name === 'ui.js' ? `/*!\n${notice}*/\n${text}` : text);
  }
}

/** Writes a file, unless it has this text already: cargo builds anew what depends on a file that is newer than before. */
function write(file, text) {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
}

/** Returns the licences of the packages that these files belong to. */
function licences(files) {
  const folder = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//;
  const packages = [...new Set(files.map((file) => folder.exec(file)?.[1]).filter(Boolean))].sort();
  const texts = packages.map((name) => {
    const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
    const file = readdirSync(`node_modules/${name}`).find((file) => /^licen[cs]e/i.test(file));
    if (!file) throw new Error(`${name} comes without its licence`);
    if (!['MIT', 'ISC', 'Apache-2.0', 'BSD-3-Clause'].includes(license)) throw new Error(`${name} is ${license}`);
    const text = readFileSync(`node_modules/${name}/${file}`, 'utf8').replaceAll('\r', '').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  const rule = '-'.repeat(78);
  if (texts.join().includes('*/')) throw new Error('a licence would end the comment that it is in');
  return `The page in ui.js and ui.css contains:\n\n${texts.join(`\n${rule}\n\n`)}`;
}
