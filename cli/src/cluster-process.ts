/** Runs cluster-program.ts: packed into one file where the build has made that, which starts in half the time. */
import { packedProgram } from './packing/packed-programs.ts';

const packed = packedProgram('cluster-program');
if (packed === undefined) await import('./cluster-program.ts');
else await import(packed.href);
