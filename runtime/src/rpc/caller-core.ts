import type { ActorId, ProcessId } from '../ids.ts';
import type { MakingCall } from '../lineage/lineage.ts';
import type { AnyObjectRef, RefOwnerRuntime } from '../objects/object-ref.ts';
import type { Payload } from '../objects/payload.ts';
import type { StoredValue } from '../objects/stored-value.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { Clock } from '../time/clock.ts';
import type { TurnClock } from '../time/turn-clock.ts';
import type { CallSettings, ProcessAddress } from '../wire/messages.ts';
import type { ArgumentKeeper, ArgumentSender } from './arguments.ts';
import type { ActorCaller } from './actor-caller.ts';
import type { PeerConnection } from './peer-connection.ts';

export interface MethodInfo {
  name: string;
  /** Index in the class's method table. */
  number: number;
  stream: boolean;
}

/** The actors that this process can call. */
export interface CallerActors {
  /** Asks the head anew for the state of an actor; the answer comes as an update. */
  refresh(actorId: ActorId): void;
  /** Tells the head of a life that this process has spoken to. */
  lived(actorId: ActorId, incarnation: number): void;
  /** Who makes a call of that caller's actor once more: a new one when its last handle here is gone. */
  callerAgain(caller: ActorCaller): ActorCaller;
}

/** What callers share: the process they live in. */
export interface CallerCore extends ArgumentKeeper, ArgumentSender {
  readonly runtime: RefOwnerRuntime;
  readonly clock: Clock;
  /**
   * In hosts: the number, as a parent, of the call or task that runs now, so that what it submits can be cancelled with
   * it; 0 when that is not known.
   */
  readonly parentNow: (() => number) | undefined;
  readonly turnClock: TurnClock;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  readonly actors: CallerActors;
  receivePayload(received: Uint8Array | unknown[], sender: ProcessId): Payload | StoredValue;
  unpin(pins: readonly Transferable[]): void;
  /** What made a stored value is remembered, so that it can be made again. */
  readonly lineage: { keep(stored: StoredValue, call: MakingCall, item?: number): void };
  /** The callee could not read the value of this borrowed ref: its owner says what became of it. */
  refetch(ref: AnyObjectRef): void;
  /** One more / one fewer call under way: keeps the process alive meanwhile. */
  callStarted(): void;
  callFinished(): void;
}

export interface CancelOptions {
  /** The worker of a running task is killed; its other tasks go elsewhere. */
  force?: boolean;
  /** Default true: the calls and tasks that it has submitted are cancelled too, with the same `force`. */
  recursive?: boolean;
}

export interface CallerSettings {
  actorId: ActorId;
  className: string;
  maxTaskRetries: number;
  retryExceptions: boolean | string[] | undefined;
  maxPendingCalls: number | undefined;
  allowOutOfOrderExecution: boolean;
}

/** In one shape, whoever says it (a specification, a description, a handle): every call reads it. */
export function callerSettings(
  actorId: ActorId,
  className: string,
  settings: CallSettings,
): CallerSettings {
  return {
    actorId,
    className,
    maxTaskRetries: settings.maxTaskRetries ?? 0,
    retryExceptions: settings.retryExceptions,
    maxPendingCalls: settings.maxPendingCalls,
    allowOutOfOrderExecution: settings.allowOutOfOrderExecution ?? false,
  };
}

/** The settings that are not the default. */
export function changedSettings(settings: CallerSettings): CallSettings | undefined {
  const { maxTaskRetries, retryExceptions, maxPendingCalls, allowOutOfOrderExecution } = settings;
  const changed: CallSettings = {
    ...(maxTaskRetries === 0 ? {} : { maxTaskRetries }),
    ...(retryExceptions === undefined ? {} : { retryExceptions }),
    ...(maxPendingCalls === undefined ? {} : { maxPendingCalls }),
    ...(allowOutOfOrderExecution ? { allowOutOfOrderExecution } : {}),
  };
  return Object.keys(changed).length === 0 ? undefined : changed;
}
