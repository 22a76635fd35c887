import {
  ActorDiedError,
  InfeasibleError,
  SchedulingTimeoutError,
  type MantaError,
} from '../errors/errors.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { ActorUpdate } from '../wire/messages.ts';

/** The error that calls of a dead actor fail with. */
export function deathError(actorId: string, className: string, update: ActorUpdate): MantaError {
  const deathCause = update.deathCause ?? { kind: 'unknown', message: 'the cause is not known' };
  if (update.errorName === 'InfeasibleError')
    return new InfeasibleError(deathCause.message, update.perNode ?? {});
  if (update.errorName === 'SchedulingTimeoutError') {
    return new SchedulingTimeoutError(deathCause.message, update.perNode ?? {});
  }
  const cause = update.encodedError === undefined ? undefined : decodeError(update.encodedError);
  return new ActorDiedError(`Actor ${actorId} (${className}) is dead: ${deathCause.message}`, {
    actorId,
    deathCause,
    ...(cause === undefined ? {} : { cause }),
  });
}
