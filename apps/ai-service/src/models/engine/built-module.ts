import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * The built JavaScript file of a module of this package, for example `models/engine/tensor-engine-worker`. A worker
 * thread needs one also when its parent runs from source; so the package is asked by name, not by relative path.
 */
export function builtModuleFile(modulePath: string): string {
  return require.resolve(`@manta/ai-service/${modulePath}`);
}
