/**
 * Packs programs that are started often into one file each (cli/dist/packed/), with all that they import: loading a
 * hundred small modules takes longer than starting Node.js itself. Part of `npm run build`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
for (const name of Object.keys(SCRIPTS)) writeCodeCache(name);

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

/** As one script, whose compiled code can be kept (cli/src/packing/packed-script.ts), and a module that runs it. */
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
  const packing = join(root, 'cli/dist/packing/packed-script.js');
  await build({
    ...COMMON,
    stdin: {
      contents: [
        `import { readPackedScript, runPackedScript } from ${JSON.stringify(packing)};`,
        `runPackedScript(readPackedScript(new URL('./${name}.cjs', import.meta.url)), import.meta);`,
      ].join('\n'),
      resolveDir: root,
    },
    outfile: join(draft, `${name}.js`),
    format: 'esm',
  });
}

/** Runs the program once, for nobody, and keeps what was compiled. */
function writeCodeCache(name) {
  const directory = mkdtempSync(join(tmpdir(), 'manta-pack-'));
  const writer = fileURLToPath(new URL('./write-code-cache.mjs', import.meta.url));
  const args = [writer, directory, join(target, `${name}.cjs`)];
  const { status, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe', 'ignore'],
  });
  rmSync(directory, { recursive: true, force: true });
  if (status !== 0) throw new Error(`The code of ${name} was not kept:\n${stderr}`);
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
