import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What a node needs to know to start host processes. */
export interface HostProgram {
  programs?: { host: string; hostNodeArguments: readonly string[] };
  preloadModules: readonly string[];
}

const PACKED = fileURLToPath(new URL('../packed/host-main.js', import.meta.url));
/** What is packed: when one of these was built later, the packed file is out of date. */
const PACKED_FROM = ['@manta/runtime/ids', '@manta/worker/main', '@manta/sdk'];

/**
 * The packed host where the build has made one: it starts in half the time. Without it (a partial build while
 * developing) hosts run the compiled modules as they are.
 */
export function hostProgram(): HostProgram {
  const preloadModules = [new URL('./practice-actor.js', import.meta.url).href];
  if (!isCurrent()) return { preloadModules };
  return {
    programs: { host: PACKED, hostNodeArguments: ['--conditions=manta-host'] },
    preloadModules,
  };
}

function isCurrent(): boolean {
  if (!existsSync(PACKED)) return false;
  const packedAt = statSync(PACKED).mtimeMs;
  return PACKED_FROM.every((module) => {
    const build = new URL('.tsbuildinfo', import.meta.resolve(module));
    return !existsSync(build) || statSync(build).mtimeMs <= packedAt;
  });
}
