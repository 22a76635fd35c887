import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Loader, Plugin } from 'esbuild';

/** What was compiled from what: valid as long as every source still has its hash. */
interface Manifest {
  output: string;
  sources: Record<string, string>;
}

const LOADERS: Record<string, Loader> = { '.ts': 'ts', '.mts': 'ts', '.cts': 'ts', '.tsx': 'tsx', '.jsx': 'jsx' };
const COMPILED = /\.(?:ts|mts|cts|tsx|jsx)$/;

/**
 * Compiles a TypeScript module, together with the TypeScript modules it imports by relative path, into one cached ES
 * module, and gives its URL. Packages and JavaScript files stay imports of the originals, so that they exist once per
 * process; `import.meta` of each source says where the source is.
 */
export async function compileTypeScript(path: string, cacheDirectory: string): Promise<string> {
  const manifestPath = join(cacheDirectory, `${hash(path)}.json`);
  const cached = await readManifest(manifestPath);
  if (cached !== undefined) return pathToFileURL(cached.output).href;

  const { build } = await import('esbuild');
  const sources: Record<string, string> = {};
  const result = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    keepNames: true,
    logLevel: 'silent',
    plugins: [sourcesPlugin(sources)],
  });
  const code = result.outputFiles[0]?.contents ?? new Uint8Array();
  const output = join(cacheDirectory, `${hash(code)}.mjs`);
  await mkdir(cacheDirectory, { recursive: true });
  await writeAtomically(output, code);
  await writeAtomically(manifestPath, JSON.stringify({ output, sources } satisfies Manifest));
  return pathToFileURL(output).href;
}

async function readManifest(path: string): Promise<Manifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
    const current = await Promise.all(
      Object.entries(manifest.sources).map(async ([source, expected]) => hash(await readFile(source)) === expected),
    );
    await readFile(manifest.output);
    return current.every(Boolean) ? manifest : undefined;
  } catch {
    return undefined; // Not compiled yet, or a source is gone: compiling says what is wrong.
  }
}

/** Several hosts may compile the same module at once: each writes a file of its own and renames it. */
async function writeAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}

function sourcesPlugin(sources: Record<string, string>): Plugin {
  return {
    name: 'manta-sources',
    setup(build) {
      build.onResolve({ filter: /.*/ }, async (request) => {
        if (request.kind === 'entry-point' || (request.pluginData as unknown) === 'resolving') return undefined;
        if (isBuiltin(request.path)) return { path: request.path, external: true };
        const found = await build.resolve(request.path, {
          kind: request.kind,
          importer: request.importer,
          resolveDir: request.resolveDir,
          pluginData: 'resolving',
        });
        if (found.errors.length > 0) return { errors: found.errors };
        const relative = request.path.startsWith('.') || request.path.startsWith('/');
        if (relative && COMPILED.test(found.path)) return { path: found.path };
        return { path: pathToFileURL(found.path).href, external: true };
      });
      build.onLoad({ filter: COMPILED }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        sources[path] = hash(text);
        return { contents: withImportMeta(text, path), loader: LOADERS[extname(path)] ?? 'ts' };
      });
    },
  };
}

/** In the bundle there is one `import.meta`; each source gets one that tells its own place. */
function withImportMeta(text: string, path: string): string {
  if (!text.includes('import.meta')) return text;
  const meta = { url: pathToFileURL(path).href, filename: path, dirname: dirname(path) };
  const name = `__importMeta_${hash(path).slice(0, 8)}`;
  const body = text.replaceAll(/\bimport\.meta\b/g, name);
  // On the first line, so that line numbers stay what they are.
  return `const ${name} = ${JSON.stringify(meta)}; ${body}`;
}

const hash = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex').slice(0, 32);
