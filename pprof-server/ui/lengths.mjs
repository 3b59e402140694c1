// `npm run check` fails where a function spans more lines than a reader takes in at once.
//
// TypeScript calls this way to its parser unstable, so it may change when TypeScript is updated. Until then the lock file holds it.

import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isFunctionLikeDeclaration } from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';

process.chdir(import.meta.dirname);

const MOST_LINES = 60;

const api = new API();
const names = ['.', 'src', 'test', 'check'].flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
const files = names.filter((name) => /\.(mjs|tsx?)$/.test(name));
const snapshot = api.updateSnapshot({ openFiles: files.map((file) => resolve(file)) });
const tooLong = files.flatMap((file) => functionsOf(file).filter(({ lines }) => lines > MOST_LINES));
api.close();
for (const { place, lines } of tooLong) console.error(`${place}: this function spans ${lines} lines, and ${MOST_LINES} are allowed`);
if (tooLong.length > 0) process.exit(1);

/** Returns where each function of a file begins, and how many lines it spans. */
function functionsOf(file) {
  const path = resolve(file);
  const source = snapshot.getDefaultProjectForFile(path).program.getSourceFile(path);
  const lineOf = (position) => source.getLineAndCharacterOfPosition(position).line + 1;
  const found = [];
  const visit = (node) => {
    if (isFunctionLikeDeclaration(node)) {
      const [first, last] = [lineOf(node.getStart(source)), lineOf(node.end)];
      found.push({ place: `${file}:${first}`, lines: last - first + 1 });
    }
    node.forEachChild(visit);
  };
  visit(source);
  return found;
}
