/**
 * Packs programs that are started often into one file each (cli/dist/packed/), with all that they import: loading a
 * hundred small modules takes longer than starting Node.js itself. Part of `npm run build`.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'cli/dist/packed');
const draft = `${target}.${process.pid}`;

mkdirSync(draft, { recursive: true });
// Actor hosts, with the SDK that their actors import. Threads of their own stand where the program looks for them.
await pack({
  'host-main': 'cli/dist/host/host-entry.js',
  'thread-main': 'cli/dist/host/thread-entry.js',
});
await pack({
  'cluster-program': 'cli/dist/cluster-program.js',
  'agent/heartbeat-thread': 'worker/dist/agent/heartbeat-thread.js',
});
await writeHostStub();
rmSync(target, { recursive: true, force: true });
renameSync(draft, target);

/** `programs`: where each goes, and the module that it starts with. What they share is a file of its own. */
function pack(programs) {
  return build({
    entryPoints: Object.fromEntries(
      Object.entries(programs).map(([name, module]) => [name, join(root, module)]),
    ),
    outdir: draft,
    bundle: true,
    // What is imported only on demand stays apart and costs nothing until then.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Names stay: stack traces and class names must be those of the source.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'linked',
    external: ['esbuild', 'lmdb', 'msgpackr-extract'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
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
