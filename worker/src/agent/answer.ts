import { MantaError } from '@manta/runtime/errors/errors';
import { encodeControl } from '@manta/runtime/serialization/control-codec';

/** Replies with what the handler gives, or with its error. */
export function answer(
  reply: ((payload: Uint8Array) => void) | undefined,
  handler: () => unknown,
): void {
  const run = async (): Promise<unknown> => await handler();
  run().then(
    (result) => reply?.(encodeControl(result)),
    (error: unknown) => reply?.(encodeControl({ error: errorReplyOf(error) })),
  );
}

function errorReplyOf(error: unknown): { name: string; message: string } {
  const name = MantaError.is(error) ? (error as MantaError).name : 'MantaError';
  return { name, message: error instanceof Error ? error.message : String(error) };
}
