import { MantaError } from '../errors/errors.ts';
import { isObjectRef } from '../objects/object-ref.ts';
import { StoredValue } from '../objects/stored-value.ts';
import type { CallerCore } from './caller-core.ts';

/** A call whose arguments are lost so often before it can read them is not run. */
const ARGUMENT_LOSSES_MAX = 10;

/**
 * A call was refused. True: one of its arguments was lost on the way, and the call goes again when that is back, if it
 * comes back: of those that this process owns it was told by who looked for them; the owners of the others are asked.
 */
export function mayGoAgain(
  error: unknown,
  values: readonly unknown[] | undefined,
  call: { argumentLosses: number },
  core: CallerCore,
): boolean {
  if (values === undefined || !MantaError.is(error, 'ObjectLostError')) return false;
  if (call.argumentLosses >= ARGUMENT_LOSSES_MAX) return false;
  call.argumentLosses += 1;
  for (const value of values)
    if (isObjectRef(value) && value.owner !== undefined && value.content instanceof StoredValue)
      core.refetch(value);
  return true;
}
