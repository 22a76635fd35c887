import { fileURLToPath } from 'node:url';
import { packedProgram } from '../packing/packed-programs.ts';

/** What a node needs to know to start host processes. */
export interface HostProgram {
  programs?: { host: string; hostNodeArguments: readonly string[] };
  practiceModule: string;
}

/**
 * The packed host where the build has made one: it starts in half the time. Without it (a partial build while
 * developing) hosts run the compiled modules as they are.
 */
export function hostProgram(): HostProgram {
  const practiceModule = new URL('../host/practice-actor.js', import.meta.url).href;
  const packed = packedProgram('host-main');
  if (packed === undefined) return { practiceModule };
  return {
    programs: { host: fileURLToPath(packed), hostNodeArguments: ['--conditions=manta-host'] },
    practiceModule,
  };
}
