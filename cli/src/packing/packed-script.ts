import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

/** What a packed script finds around it, in place of what a module of its own would have. */
type Program = (
  require: NodeJS.Require,
  IMPORT: (specifier: string) => Promise<unknown>,
  META: ImportMeta,
  module: { exports: unknown },
) => void;

/**
 * A packed program (scripts/pack-programs.mjs) with what V8 compiled of it when it was packed: reading that takes a
 * fraction of compiling it again. Where there is none of this Node.js, or V8 refuses it (other flags), the source is
 * compiled as ever.
 */
export function readPackedScript(file: URL): Script {
  const filename = fileURLToPath(file);
  // It is ASCII, as esbuild writes it.
  const source = readFileSync(filename, 'latin1');
  return new Script(source, { filename, cachedData: readIfThere(codeCacheOf(filename)) });
}

/**
 * Which Node.js this is. V8 takes code of any build of its own version, and crashes on that of another one: 20.19.0 and
 * 20.20.2 have the same V8 but for Node's own changes.
 */
export function engineBuild(): string {
  return `${process.version}-${process.arch}-${statSync(process.execPath).size}`;
}

/** Where the code of that packed script is kept. */
export const codeCacheOf = (filename: string, build: string = engineBuild()): string =>
  `${filename}.${build}.cache`;

/** @param meta of the module that stands for the program: paths are right from there. */
export function runPackedScript(script: Script, meta: ImportMeta): void {
  const program = script.runInThisContext() as Program;
  // Code from a cache cannot import by itself: V8 forgets in it whose import() it is.
  program(createRequire(meta.url), (specifier) => import(specifier), meta, { exports: {} });
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
