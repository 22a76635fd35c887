import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BuildFailure, Loader, Plugin } from 'esbuild';

/** What was compiled from what: valid as long as every source still has its hash. */
interface Manifest {
  output: string;
  sources: Record<string, string>;
}

const LOADERS: Record<string, Loader> = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.jsx': 'jsx',
};
/** What Node cannot load itself, or only with an import attribute that TypeScript does without. */
const COMPILED = /\.(?:ts|mts|cts|tsx|jsx|json)$/;
const RESOLVING = 'resolving';
/** Declared in every source that asks for it. */
const IMPORT_META = '__mantaImportMeta';

/**
 * Compiles a TypeScript module, together with the TypeScript modules it imports, into one cached ES module, and gives
 * its URL. Packages and JavaScript files stay imports of the originals, so that they exist once per process;
 * `import.meta` of each source says where the source is. Stack traces name the sources.
 * @throws Error whose message names file and line of what is wrong with the sources.
 */
export async function compileTypeScript(path: string, cacheDirectory: string): Promise<string> {
  process.setSourceMapsEnabled(true);
  const manifestPath = join(cacheDirectory, `${hash(path)}.json`);
  const cached = await readManifest(manifestPath);
  if (cached !== undefined) return pathToFileURL(cached.output).href;

  const sources: Record<string, string> = {};
  const code = await bundle(path, cacheDirectory, sources);
  const output = join(cacheDirectory, `${hash(code)}.mjs`);
  await mkdir(cacheDirectory, { recursive: true });
  await writeAtomically(output, code);
  await writeAtomically(manifestPath, JSON.stringify({ output, sources } satisfies Manifest));
  return pathToFileURL(output).href;
}

async function bundle(
  path: string,
  cacheDirectory: string,
  sources: Record<string, string>,
): Promise<Uint8Array> {
  const { build } = await import('esbuild');
  try {
    const result = await build({
      entryPoints: [path],
      bundle: true,
      write: false,
      // Source maps name their sources relative to it.
      outfile: join(cacheDirectory, 'module.mjs'),
      absWorkingDir: dirname(path),
      format: 'esm',
      platform: 'node',
      target: 'node20',
      // Packages are found as Node finds them in this process: without the conditions of bundlers, with the one of a
      // packed host, where the SDK is the host's own copy (runtime/src/actor/host-sdk.ts).
      conditions: process.execArgv.includes('--conditions=manta-host') ? ['manta-host'] : [],
      mainFields: ['main'],
      define: { 'import.meta': IMPORT_META },
      sourcemap: 'inline',
      keepNames: true,
      logLevel: 'silent',
      plugins: [sourcesPlugin(sources)],
    });
    return result.outputFiles[0]?.contents ?? new Uint8Array();
  } catch (error) {
    throw new Error(compilationMessage(error as BuildFailure), { cause: error });
  }
}

function compilationMessage(failure: BuildFailure): string {
  const messages = failure.errors?.map(({ text, location }) =>
    location === null ? text : `${location.file}:${location.line}:${location.column}: ${text}`,
  );
  return messages?.join('\n') ?? String(failure);
}

async function readManifest(path: string): Promise<Manifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
    const current = await Promise.all(
      Object.entries(manifest.sources).map(
        async ([source, expected]) => hash(await readFile(source)) === expected,
      ),
    );
    await readFile(manifest.output);
    return current.every(Boolean) ? manifest : undefined;
  } catch {
    return undefined; // Not compiled yet, or a source is gone: compiling says what is wrong.
  }
}

/** Several hosts may compile the same module at once: each writes a file of its own and renames it. */
async function writeAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}

function sourcesPlugin(sources: Record<string, string>): Plugin {
  return {
    name: 'manta-sources',
    setup(build) {
      build.onResolve({ filter: /.*/ }, async (request) => {
        if (request.kind === 'entry-point' || request.pluginData === RESOLVING) return undefined;
        if (isBuiltin(request.path)) return { path: request.path, external: true };
        const found = await build.resolve(request.path, {
          kind: request.kind,
          importer: request.importer,
          resolveDir: request.resolveDir,
          pluginData: RESOLVING,
        });
        if (found.errors.length > 0) return { errors: found.errors };
        if (COMPILED.test(found.path)) return { path: found.path };
        return { path: pathToFileURL(found.path).href, external: true };
      });
      build.onLoad({ filter: COMPILED }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        sources[path] = hash(text);
        const loader = LOADERS[extname(path)];
        if (loader === undefined) return { contents: text, loader: 'json' };
        return { contents: withOwnImportMeta(text, path), loader };
      });
    },
  };
}

/** In the bundle there is one `import.meta`; each source gets one that tells its own place. */
function withOwnImportMeta(text: string, path: string): string {
  if (!text.includes('import.meta')) return text;
  const meta = { url: pathToFileURL(path).href, filename: path, dirname: dirname(path) };
  // On the first line, so that line numbers stay what they are.
  return `const ${IMPORT_META} = ${JSON.stringify(meta)}; ${text.replace(/^#!/, '//')}`;
}

const hash = (data: string | Uint8Array): string =>
  createHash('sha256').update(data).digest('hex').slice(0, 32);
