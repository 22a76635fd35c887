import type { DeathCause } from '../errors/death-cause.ts';
import {
  ActorDiedError,
  MantaError,
  NodeDiedError,
  OutOfMemoryError,
  TaskCancelledError,
  TaskTimeoutError,
  WorkerCrashedError,
} from '../errors/errors.ts';
import { abortCause } from '../rpc/call-options.ts';
import { placementError } from '../rpc/caller-errors.ts';
import type { ActorUpdate } from '../wire/messages.ts';
import type { TaskCall } from './task-call.ts';
import type { TaskFunction } from './task-function.ts';

export function cancelledError(call: TaskCall): TaskCancelledError {
  return new TaskCancelledError(
    `Task ${call.task.name} was cancelled.`,
    abortCause(call.extras?.options),
  );
}

export function timeoutError(call: TaskCall): TaskTimeoutError {
  return new TaskTimeoutError(
    `Task ${call.task.name} took longer than ${call.extras?.options?.timeoutMs} ms.`,
  );
}

/** Why the worker of a task is gone, as far as it is known. */
export interface WorkerDeath {
  cause: MantaError;
  /** In words, about the process. */
  reason: string;
  /** The machine had no memory left, which need not be this task's doing. */
  isForMachineMemory: boolean;
}

/** `error` is the lease's own, which is about an actor. */
export function deathOf(error: MantaError): WorkerDeath {
  if (!(error instanceof ActorDiedError))
    return { cause: error, reason: error.message, isForMachineMemory: false };
  const { actorId, deathCause } = error;
  const { kind, message: reason } = deathCause;
  if (kind === 'out-of-memory') {
    const isForMachineMemory = !isAbort(deathCause);
    return { cause: new OutOfMemoryError(reason), reason, isForMachineMemory };
  }
  const cause =
    kind === 'node-died'
      ? new NodeDiedError(reason)
      : new ActorDiedError(`Task worker ${actorId} is dead: ${reason}`, { actorId, deathCause });
  return { cause, reason, isForMachineMemory: false };
}

/** V8 aborts a process whose own heap is full. */
const isAbort = ({ signal, exitCode }: DeathCause): boolean =>
  signal === 'SIGABRT' || signal === 'SIGTRAP' || exitCode === 134;

/** What a task fails with when its worker died under it as often as its retries allow. */
export function crashError(call: TaskCall, { cause, reason }: WorkerDeath): WorkerCrashedError {
  const { maxRetries } = call.task.definition;
  const tries =
    maxRetries === 0
      ? 'it may not be repeated (maxRetries 0)'
      : `no retry is left (maxRetries ${maxRetries})`;
  return new WorkerCrashedError(
    `The worker of task ${call.task.name} died under it, and ${tries}: ${reason}`,
    { cause },
  );
}

/** What tasks fail with for which no worker can be had. `update`: the last that the head said of the lease. */
export function leaseError(
  task: TaskFunction,
  error: MantaError,
  update: ActorUpdate | undefined,
): MantaError {
  const unplaced = update && placementError(`Task ${task.name}`, update);
  if (unplaced !== undefined) return unplaced;
  return error instanceof ActorDiedError
    ? new WorkerCrashedError(
        `No worker for task ${task.name} could be started: ${error.deathCause.message}`,
        { cause: error.cause ?? error },
      )
    : error;
}

export const isUnschedulable = (error: MantaError): boolean =>
  MantaError.is(error, 'InfeasibleError') || MantaError.is(error, 'SchedulingTimeoutError');
