import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The finalizers of each registry run in a task of their own, one after another. */
const FINALIZER_TURNS = 8;

let collect: (() => void) | undefined;

/**
 * Collects garbage now and lets the finalizers of what was found run. The engine does not feel the shared memory that
 * its objects hold, so it would come to that too late by itself.
 */
export async function collectGarbage(): Promise<void> {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  for (let turn = 0; turn < FINALIZER_TURNS; turn += 1)
    await new Promise((resolve) => setImmediate(resolve));
}
