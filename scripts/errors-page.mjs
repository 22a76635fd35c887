/**
 * Writes docs/errors.md from the error table, or with `--check` fails when the page is not what the table says.
 * Needs the build: it reads the compiled table.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { ERROR_TABLE } from '../runtime/dist/errors/codes.js';

const PAGE = new URL('../docs/errors.md', import.meta.url);

const rows = Object.entries(ERROR_TABLE).map(
  ([name, { code, retryable, remedy }]) =>
    `| \`${name}\` | \`${code}\` | ${retryable ? 'yes' : 'no'} | ${remedy} |`,
);
const page = `# Errors

This page is made from \`runtime/src/errors/codes.ts\` by \`npm run docs:errors\`; change the table, not the page.

Every error that Manta throws is a \`MantaError\`. \`name\` is the class, \`code\` stays the same across releases, and
\`retryable\` says whether the same call may succeed later without anybody changing anything. Recognise errors with
\`MantaError.is(error, 'ActorDiedError')\`: that works across processes and across two copies of the package, where
\`instanceof\` does not.

| class | code | retryable | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(PAGE, 'utf8') !== page) {
    console.error('docs/errors.md is not what the error table says: run "npm run docs:errors"');
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, page);
}
