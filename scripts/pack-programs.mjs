/**
 * Packs the program of actor host processes into one file (cli/dist/packed/), with the SDK in it: loading some eighty
 * small modules takes longer than starting Node.js itself. Part of `npm run build`.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'cli/dist/packed');
const draft = `${target}.${process.pid}`;

mkdirSync(draft, { recursive: true });
await build({
  entryPoints: {
    'host-main': join(root, 'cli/dist/host/host-entry.js'),
    'thread-main': join(root, 'cli/dist/host/thread-entry.js'),
  },
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
  external: ['esbuild', 'msgpackr-extract'],
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});

const sdk = await import(pathToFileURL(join(root, 'sdk/dist/index.js')).href);
const stub = [
  '// What `@manta/sdk` is in a packed host: see runtime/src/actor/host-sdk.ts.',
  "const sdk = globalThis[Symbol.for('manta.host-sdk')];",
  ...Object.keys(sdk).map((name) => `export const ${name} = sdk.${name};`),
];
writeFileSync(join(root, 'sdk/dist/host-stub.js'), `${stub.join('\n')}\n`);
rmSync(target, { recursive: true, force: true });
renameSync(draft, target);
