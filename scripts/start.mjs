/**
 * `npm start`: compiles what is missing or older than its source, then runs the AI service with the options that follow.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What the service needs, in the order in which they build on each other. */
const PACKAGES = ['runtime', 'head', 'worker', 'sdk', 'cli', 'apps/ai-service'];
const COMPILER = join(root, 'node_modules/typescript/bin/tsc');

if (!existsSync(COMPILER)) {
  console.error('The dependencies are not installed: run `npm ci` first.');
  process.exit(1);
}
const stale = PACKAGES.filter(isStale);
if (stale.length > 0) await build(stale);
if (stale.length > 0 || !existsSync(join(root, 'cli/dist/packed')))
  await import('./pack-programs.mjs');
await import('../apps/ai-service/dist/main.js');

function isStale(name) {
  const built = join(root, name, 'dist/.tsbuildinfo');
  if (!existsSync(built)) return true;
  const builtAt = statSync(built).mtimeMs;
  if (statSync(join(root, name, 'tsconfig.json')).mtimeMs > builtAt) return true;
  const source = join(root, name, 'src');
  return readdirSync(source, { recursive: true })
    .filter((file) => file.endsWith('.ts') && !/\.test(-d)?\.ts$/.test(file))
    .some((file) => statSync(join(source, file)).mtimeMs > builtAt);
}

async function build(names) {
  const startedAt = Date.now();
  console.log(`… building ${names.join(', ')}`);
  const targets = ['cli', 'apps/ai-service'];
  const compiler = spawn(process.execPath, [COMPILER, '-b', '--verbose', ...targets], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: compiler.stdout })) {
    const project = /Building project '(.+)\/tsconfig\.json'/.exec(line)?.[1];
    if (project !== undefined)
      console.log(`  ${PACKAGES.find((name) => project.endsWith(name)) ?? project}`);
    else if (line.includes('error TS')) console.error(line);
  }
  const code =
    compiler.exitCode ?? (await new Promise((resolve) => compiler.once('exit', resolve)));
  if (code !== 0) {
    console.error('The build failed; the lines above say where.');
    process.exit(1);
  }
  console.log(`✓ built (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
}
