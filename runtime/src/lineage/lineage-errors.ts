import { MantaError, ObjectFreedError, ObjectReconstructionFailedError } from '../errors/errors.ts';
import type { CallRecipe } from './recipe.ts';

/** `reason`: why the value is gone. */
export function usedUpError(id: string, { maker }: CallRecipe, reason: string): MantaError {
  return new ObjectReconstructionFailedError(
    `Object ${id} is lost (${reason}) and is not made again: no retry of ${maker.name} is left ` +
      `(${maker.option} ${maker.maxRetries}).`,
  );
}

export function droppedError(
  id: string,
  { maker }: CallRecipe,
  reason: string,
  limitBytes: number,
): MantaError {
  return new ObjectReconstructionFailedError(
    `Object ${id} is lost (${reason}) and cannot be made again: the arguments of ${maker.name} were dropped, because ` +
      `what this process keeps to make objects again exceeded ${limitBytes} bytes (MANTA_LINEAGE_BYTES).`,
  );
}

export function freedArgumentError({ maker }: CallRecipe): MantaError {
  return new ObjectFreedError(`The result of ${maker.name}, which is needed again, was freed.`);
}

export function tooFewItemsError({ maker }: CallRecipe, item: number, items: number): MantaError {
  return new ObjectReconstructionFailedError(
    `Item ${item} of ${maker.name} was lost, and when the generator ran again it gave only ${items} items.`,
  );
}

/** What user code threw, and what the user did, is told as such; everything else is why the attempt failed. */
export function attemptError({ maker }: CallRecipe, reason: string, error: unknown): unknown {
  if (MantaError.is(error, 'TaskError') || MantaError.is(error, 'TaskCancelledError')) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new ObjectReconstructionFailedError(
    `An object was lost (${reason}), and ${maker.name} could not make it again: ${text}`,
    { cause: error },
  );
}
