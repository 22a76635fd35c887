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

const UNKNOWN_CAUSE = { kind: 'unknown', message: 'the cause is not known' };
/** Nodes that the message of a placement error names; all of them are in its `perNode`. */
const REASONS_SHOWN = 3;

/** No node took it: what was asked for, why not per node, and what to do. Undefined for all other ends. */
export function placementError(
  subject: string,
  { errorName, deathCause = UNKNOWN_CAUSE, perNode = {} }: ActorUpdate,
): InfeasibleError | SchedulingTimeoutError | undefined {
  if (errorName !== 'InfeasibleError' && errorName !== 'SchedulingTimeoutError') return undefined;
  const why = `${subject} could not be placed. ${deathCause.message} ${reasonsOf(perNode)}`;
  return errorName === 'InfeasibleError'
    ? new InfeasibleError(`${why} Ask for less, or add a node that has it.`, perNode)
    : new SchedulingTimeoutError(
        `${why} Wait longer (schedulingTimeoutMs), ask for less, or add a node.`,
        perNode,
      );
}

function reasonsOf(perNode: Record<string, string>): string {
  const reasons = Object.entries(perNode).map(([nodeId, reason]) => `${nodeId} ${reason}`);
  if (reasons.length === 0) return 'The cluster has no node.';
  const others = reasons.length - REASONS_SHOWN;
  const more = others > 0 ? `; ${others} more in perNode` : '';
  return `Node ${reasons.slice(0, REASONS_SHOWN).join('; node ')}${more}.`;
}

/** The error that calls of a dead actor fail with. */
export function deathError(actorId: string, className: string, update: ActorUpdate): MantaError {
  const unplaced = placementError(`Actor ${actorId} (${className})`, update);
  if (unplaced !== undefined) return unplaced;
  const deathCause = update.deathCause ?? UNKNOWN_CAUSE;
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
