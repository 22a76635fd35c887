/**
 * Packs programs that are started often into one file each (cli/dist/packed/), with all that they import: loading a
 * hundred small modules takes longer than starting Node.js itself. Part of `npm run build`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'cli/dist/packed');
const draft = `${target}.${process.pid}`;

const SCRIPTS = {
  // Actor hosts, with the SDK that their actors import.
  'host-main': 'cli/dist/host/host-entry.js',
  'cluster-program': 'cli/dist/cluster-program.js',
};

/** It takes seconds. */
const EXERCISE_TIMEOUT_MS = 60_000;

const COMMON = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  // Names stay: stack traces and class names must be those of the source.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: 'linked',
  external: ['esbuild', 'lmdb', 'msgpackr-extract'],
  logLevel: 'warning',
};

mkdirSync(draft, { recursive: true });
// Threads of their own stand where the programs look for them.
await packModule('thread-main', 'cli/dist/host/thread-entry.js');
await packModule('agent/heartbeat-thread', 'worker/dist/agent/heartbeat-thread.js');
for (const [name, module] of Object.entries(SCRIPTS)) await packScript(name, module);
await writeHostStub();
rmSync(target, { recursive: true, force: true });
renameSync(draft, target);
// Where they stay: the compiled code knows its file.
for (const name of Object.keys(SCRIPTS)) writeKeepingStarter(name);
exercise();
for (const name of Object.keys(SCRIPTS)) await writeStarter(name);

/** As one ES module, and others for what it imports only on demand. */
function packModule(name, module) {
  return build({
    ...COMMON,
    entryPoints: { [name]: join(root, module) },
    outdir: draft,
    splitting: true,
    format: 'esm',
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  });
}

/** As one script, whose compiled code can be kept (cli/src/packing/packed-script.ts). */
async function packScript(name, module) {
  const script = join(draft, `${name}.cjs`);
  await build({
    ...COMMON,
    entryPoints: [join(root, module)],
    outfile: script,
    format: 'cjs',
    define: { 'import.meta': 'META' },
    banner: { js: '(function(require,IMPORT,META,module){' },
    footer: { js: '})' },
  });
  // As many characters as before, for the source map.
  const text = readFileSync(script, 'latin1').replaceAll(/(?<![#.\w$])import\(/g, 'IMPORT(');
  writeFileSync(script, text, 'latin1');
}

/** The module that stands for a packed script and runs it. */
function writeStarter(name) {
  const packing = join(root, 'cli/dist/packing/packed-script.js');
  return build({
    ...COMMON,
    stdin: {
      contents: [
        `import { readPackedScript, runPackedScript } from ${JSON.stringify(packing)};`,
        `runPackedScript(readPackedScript(new URL('./${name}.cjs', import.meta.url)), import.meta);`,
      ].join('\n'),
      resolveDir: root,
    },
    outfile: join(target, `${name}.js`),
    format: 'esm',
  });
}

/** In its place while programs are exercised: runs the script and keeps its code. */
function writeKeepingStarter(name) {
  const keeping = new URL('./keep-code.mjs', import.meta.url).href;
  const contents = [
    `import { runAndKeepCode } from ${JSON.stringify(keeping)};`,
    `runAndKeepCode(new URL('./${name}.cjs', import.meta.url), import.meta);`,
  ];
  writeFileSync(join(target, `${name}.js`), `${contents.join('\n')}\n`);
}

/** Has a cluster used as programs do, whose processes keep what is compiled of them. */
function exercise() {
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('MANTA_'));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'scripts/exercise-programs.mjs')],
    { encoding: 'utf8', env: Object.fromEntries(environment), timeout: EXERCISE_TIMEOUT_MS },
  );
  if (status === 0) return;
  // They start without it, too, and whoever repairs what is wrong here needs a build.
  console.warn(`Compiled code was not kept, so processes start later:\n${stdout}${stderr}`);
}

async function writeHostStub() {
  const sdk = await import(pathToFileURL(join(root, 'sdk/dist/index.js')).href);
  const stub = [
    '// What `@manta/sdk` is in a packed host: see runtime/src/actor/host-sdk.ts.',
    "const sdk = globalThis[Symbol.for('manta.host-sdk')];",
    ...Object.keys(sdk).map((name) => `export const ${name} = sdk.${name};`),
  ];
  writeFileSync(join(root, 'sdk/dist/host-stub.js'), `${stub.join('\n')}\n`);
}
