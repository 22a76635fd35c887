/** All checks that need no running code, in one command. Each runs, also after a failure; the end says how each went. */
import { spawnSync } from 'node:child_process';

const npx = (...words) => ['npx', ['--no-install', ...words]];
const node = (...words) => [process.execPath, words];
const folders = ['runtime', 'head', 'worker', 'sdk', 'cli', 'apps/ai-service', 'bench'];

const STEPS = {
  build: npx('tsc', '-b'),
  'types of tests': npx('tsc', '-p', 'tsconfig.tests.json'),
  format: npx('prettier', '--check', '--log-level', 'warn', '.'),
  lint: npx('oxlint', '--type-aware', '--deny-warnings'),
  boundaries: npx('depcruise', ...folders.map((folder) => `${folder}/src`)),
  'dead code': npx('knip', '--no-progress', '--no-config-hints'),
  'errors page': node('scripts/errors-page.mjs', '--check'),
  tidy: node('scripts/tidy.mjs'),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in STEPS));
if (unknown.length > 0) {
  console.error(
    `no check called ${unknown.join(', ')}; there are: ${Object.keys(STEPS).join(', ')}`,
  );
  process.exit(2);
}
let passed = 0;
let failed = 0;
const summary = [];
for (const [name, [command, words]] of Object.entries(STEPS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const startedAt = performance.now();
  const { status, error } = spawnSync(command, words, { stdio: 'inherit' });
  if (error) console.error(`${name}: ${error.message}`);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (status === 0) passed += 1;
  else failed += 1;
  summary.push(`${status === 0 ? 'ok    ' : 'FAILED'}  ${name} (${seconds} s)`);
}
console.log(`${summary.join('\n')}\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
