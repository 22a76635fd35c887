import { SerializationError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';

/** For values that are in no object store: its receiver would close the channel on a message that is too large. */
export function oversizeError(sizeBytes: number, path: string): SerializationError | undefined {
  if (sizeBytes <= LIMITS.messageBytes) return undefined;
  return new SerializationError(
    `${path} cannot be sent: ${sizeBytes} bytes in one message, which takes at most ${LIMITS.messageBytes}. ` +
      'put() what is large, and pass its ref inside a value.',
    path,
  );
}
