import {
  ActorDiedError,
  ActorUnavailableError,
  BackpressureError,
  InfeasibleError,
  SchedulingTimeoutError,
  type MantaError,
} from '../errors/errors.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { ActorUpdate } from '../wire/messages.ts';
import type { ActorCall } from './actor-call.ts';
import type { CallerSettings } from './caller-core.ts';

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

/** The error of a call that was under way when its actor became unreachable, and that may not be repeated. */
export function unavailableError(call: ActorCall, reason: MantaError): ActorUnavailableError {
  const { actorId, className } = call.caller;
  return new ActorUnavailableError(
    `The call of ${className}.${call.method.name} on actor ${actorId} was under way when its process became ` +
      `unreachable; it may or may not have run. ${reason.message}`,
    { cause: reason },
  );
}

export function backpressureError(settings: CallerSettings): BackpressureError {
  const { actorId, className, maxPendingCalls } = settings;
  return new BackpressureError(
    `Actor ${actorId} (${className}) has ${maxPendingCalls} unfinished calls from this process, the most its ` +
      'maxPendingCalls allows.',
  );
}
