import { ObjectLostError } from '../errors/errors.ts';
import { ObjectRef, type AnyObjectRef } from './object-ref.ts';

/** The ref of a durable object: its owner is the agent that has it on its disk, and is lost with it. */
export class DurableRef<T> extends ObjectRef<T> {}

/** What a ref fails with whose owner is gone: a durable object has no creator that could have kept it. */
export function ownerDiedError(ref: AnyObjectRef, error: Error): Error {
  if (!(ref instanceof DurableRef)) return error;
  const { nodeId } = ref.owner ?? {};
  return new ObjectLostError(
    `Durable object ${ref.id} is lost: node ${nodeId} that kept it is gone or cannot be reached.`,
    { cause: error },
  );
}
