import { NotInitializedError } from './errors.ts';

/** What the refs and handles of a process say once it has left the cluster. `what` could not be had: a noun. */
export function shutDownError(what: string): NotInitializedError {
  return new NotInitializedError(
    `Manta was shut down in this process, so ${what} cannot be reached any more: use values and handles before ` +
      'shutdown(), or call `await init()` and make them again.',
  );
}
