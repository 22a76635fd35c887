import { ERROR_TABLE, type ErrorName } from './codes.ts';
import type { DeathCause } from './death-cause.ts';

/**
 * The marker by which `MantaError.is` recognises our errors. A registered symbol, not class identity: errors cross
 * processes, and a program may hold two copies of this package.
 */
const MARKER = Symbol.for('manta.error');

/** Base of every error Manta throws. `name` is the class name, `code` is stable, `retryable` comes from the table. */
export class MantaError extends Error {
  readonly code: string;
  readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    const name = new.target.errorName;
    const row = ERROR_TABLE[name];
    this.name = name;
    this.code = row.code;
    this.retryable = row.retryable;
    Object.defineProperty(this, 'name', { enumerable: false });
    Object.defineProperty(this, MARKER, { value: name, enumerable: false });
  }

  /** The row of the error table; kept apart from `Function.name`, which minifiers change. */
  static readonly errorName: ErrorName = 'MantaError';

  /** True for any Manta error, or for the class called `name`, whichever copy of the package made it. */
  static is(error: unknown, name?: string): boolean {
    if (typeof error !== 'object' || error === null) return false;
    const marker = (error as Record<symbol, unknown>)[MARKER];
    return (
      typeof marker === 'string' && (name === undefined || name === 'MantaError' || marker === name)
    );
  }
}

/** What user code threw. `cause` is the original error: name, message, stack, own properties and cause chain. */
export class TaskError extends MantaError {
  static override readonly errorName: ErrorName = 'TaskError';
  declare readonly cause: unknown;
  readonly method: string;
  readonly actorId?: string;
  constructor(
    message: string,
    details: { cause: unknown; method: string; actorId?: string | undefined },
  ) {
    super(message, { cause: details.cause });
    this.method = details.method;
    if (details.actorId !== undefined) this.actorId = details.actorId;
  }
}

export class ActorDiedError extends MantaError {
  static override readonly errorName: ErrorName = 'ActorDiedError';
  readonly actorId: string;
  readonly deathCause: DeathCause;
  constructor(
    message: string,
    details: { actorId: string; deathCause: DeathCause; cause?: unknown },
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.actorId = details.actorId;
    this.deathCause = details.deathCause;
  }
}

/** `path` names the spot, for example `args[0].socket`. */
export class SerializationError extends MantaError {
  static override readonly errorName: ErrorName = 'SerializationError';
  readonly path: string;
  constructor(message: string, path: string, options?: ErrorOptions) {
    super(message, options);
    this.path = path;
  }
}

export class InfeasibleError extends MantaError {
  static override readonly errorName: ErrorName = 'InfeasibleError';
  readonly perNode: Record<string, string>;
  constructor(message: string, perNode: Record<string, string>) {
    super(message);
    this.perNode = perNode;
  }
}

export class SchedulingTimeoutError extends MantaError {
  static override readonly errorName: ErrorName = 'SchedulingTimeoutError';
  readonly perNode: Record<string, string>;
  constructor(message: string, perNode: Record<string, string>) {
    super(message);
    this.perNode = perNode;
  }
}

export class InvalidArgumentError extends MantaError {
  static override readonly errorName: ErrorName = 'InvalidArgumentError';
}
/** For now: the call may or may not have run. */
export class ActorUnavailableError extends MantaError {
  static override readonly errorName: ErrorName = 'ActorUnavailableError';
}
export class WorkerCrashedError extends MantaError {
  static override readonly errorName: ErrorName = 'WorkerCrashedError';
}
export class NodeDiedError extends MantaError {
  static override readonly errorName: ErrorName = 'NodeDiedError';
}
export class OutOfMemoryError extends MantaError {
  static override readonly errorName: ErrorName = 'OutOfMemoryError';
}
export class TaskCancelledError extends MantaError {
  static override readonly errorName: ErrorName = 'TaskCancelledError';
}
export class TaskTimeoutError extends MantaError {
  static override readonly errorName: ErrorName = 'TaskTimeoutError';
}
export class GetTimeoutError extends MantaError {
  static override readonly errorName: ErrorName = 'GetTimeoutError';
}
export class ObjectLostError extends MantaError {
  static override readonly errorName: ErrorName = 'ObjectLostError';
}
export class OwnerDiedError extends MantaError {
  static override readonly errorName: ErrorName = 'OwnerDiedError';
}
export class ObjectFreedError extends MantaError {
  static override readonly errorName: ErrorName = 'ObjectFreedError';
}
export class ObjectReconstructionFailedError extends MantaError {
  static override readonly errorName: ErrorName = 'ObjectReconstructionFailedError';
}
export class ObjectStoreFullError extends MantaError {
  static override readonly errorName: ErrorName = 'ObjectStoreFullError';
}
export class BackpressureError extends MantaError {
  static override readonly errorName: ErrorName = 'BackpressureError';
}
export class PlacementGroupRemovedError extends MantaError {
  static override readonly errorName: ErrorName = 'PlacementGroupRemovedError';
}
export class NameTakenError extends MantaError {
  static override readonly errorName: ErrorName = 'NameTakenError';
}
export class ActorNotFoundError extends MantaError {
  static override readonly errorName: ErrorName = 'ActorNotFoundError';
}
export class RuntimeEnvSetupError extends MantaError {
  static override readonly errorName: ErrorName = 'RuntimeEnvSetupError';
}
/** This process is not connected to a cluster: init() was not called, or shutdown() was. */
export class NotInitializedError extends MantaError {
  static override readonly errorName: ErrorName = 'NotInitializedError';
}
export class ClusterUnavailableError extends MantaError {
  static override readonly errorName: ErrorName = 'ClusterUnavailableError';
}
export class AuthenticationError extends MantaError {
  static override readonly errorName: ErrorName = 'AuthenticationError';
}
export class ProtocolError extends MantaError {
  static override readonly errorName: ErrorName = 'ProtocolError';
}
