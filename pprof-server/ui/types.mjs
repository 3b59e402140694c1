// This makes `src/answers.ts`, the types of the server's answers, from their schema. The file is checked in.

import { compile } from 'json-schema-to-typescript';
import { readFileSync, writeFileSync } from 'node:fs';

process.chdir(import.meta.dirname);

const schema = JSON.parse(readFileSync('../schema/answers.schema.json', 'utf8'));
const types = await compile(schema, 'Answers', {
  additionalProperties: false,
  unreachableDefinitions: true,
  bannerComment: '// Made from ../../schema/answers.schema.json by `npm run build`: change that file, and not this one.',
  style: { singleQuote: true, printWidth: 120 },
});
// The schema as a whole is no type, so it goes. So does the sentence in each type that names the schema.
const answers = types
  .replace(/\/\*\*(?:(?!\*\/)[^])*\*\/\nexport interface Answers \{[^}]*\}\n/, '')
  .replace(/ \*\n \* This interface was referenced by `Answers`'s JSON-Schema\n \* via the `definition` "\w+"\.\n/g, '');
writeFileSync('src/answers.ts', answers);
