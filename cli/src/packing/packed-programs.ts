import { statSync } from 'node:fs';

/** Packages that are packed: when one of them was built later, the packed files are out of date. */
const PACKED_FROM = ['runtime', 'head', 'worker', 'sdk', 'cli'];

/** The program as one file (scripts/pack-programs.mjs); undefined where the build has not made it, or made it too long ago. */
export function packedProgram(name: 'cluster-program' | 'host-main'): URL | undefined {
  // This module is in a packed file, too: paths are right from dist/packing and dist/packed.
  const packed = new URL(`../packed/${name}.js`, import.meta.url);
  const packedAt = builtAt(packed);
  if (packedAt === undefined) return undefined;
  const isCurrent = PACKED_FROM.every((folder) => {
    const build = new URL(`../../../${folder}/dist/.tsbuildinfo`, import.meta.url);
    return (builtAt(build) ?? 0) <= packedAt;
  });
  return isCurrent ? packed : undefined;
}

/** Undefined: there is no such file. */
const builtAt = (file: URL): number | undefined =>
  statSync(file, { throwIfNoEntry: false })?.mtimeMs;
