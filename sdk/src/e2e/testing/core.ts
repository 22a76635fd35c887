import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { ObjectRef } from '@manta/sdk';

/** What is behind a ref in this process: for counters that the SDK does not show. */
export function coreOf(ref: ObjectRef<unknown>): CoreProcess {
  return (ref as unknown as { runtime: CoreProcess }).runtime;
}
