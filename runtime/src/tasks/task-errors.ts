import {
  ActorDiedError,
  MantaError,
  NodeDiedError,
  OutOfMemoryError,
  TaskCancelledError,
  TaskTimeoutError,
  WorkerCrashedError,
} from '../errors/errors.ts';
import type { TaskCall } from './task-call.ts';

export function cancelledError(call: TaskCall): TaskCancelledError {
  return new TaskCancelledError(`Task ${call.task.name} was cancelled.`);
}

export function timeoutError(call: TaskCall): TaskTimeoutError {
  return new TaskTimeoutError(
    `Task ${call.task.name} took longer than ${call.extras?.options?.timeoutMs} ms.`,
  );
}

/** Why the worker of a task is gone, as far as it is known: the lease's own error says it about an actor. */
export function deathOf(error: MantaError): { kind: string; cause: MantaError } {
  if (!(error instanceof ActorDiedError)) return { kind: 'unknown', cause: error };
  const { kind, message } = error.deathCause;
  if (kind === 'out-of-memory') return { kind, cause: new OutOfMemoryError(message) };
  if (kind === 'node-died') return { kind, cause: new NodeDiedError(message) };
  return { kind, cause: error };
}

/** What a task fails with when its worker died under it as often as its retries allow. */
export function crashError(call: TaskCall, cause: MantaError): WorkerCrashedError {
  const { maxRetries } = call.task.definition;
  const tries = maxRetries === 0 ? 'it may not be repeated (maxRetries 0)' : 'no retry is left';
  return new WorkerCrashedError(
    `The worker of task ${call.task.name} died under it, and ${tries}: ${cause.message}`,
    { cause },
  );
}

/** What tasks fail with for which no worker can be had. */
export function leaseError(error: MantaError): MantaError {
  return error instanceof ActorDiedError
    ? new WorkerCrashedError(`No worker could be started: ${error.deathCause.message}`, {
        cause: error.cause ?? error,
      })
    : error;
}

export const isUnschedulable = (error: MantaError): boolean =>
  MantaError.is(error, 'InfeasibleError') || MantaError.is(error, 'SchedulingTimeoutError');
