import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { NodeId } from '@manta/runtime/ids';
import type { ActorSpec, ActorState, ProcessAddress } from '@manta/runtime/wire/messages';

/** Where one incarnation was put. It stands until the node confirmed that incarnation's end, or is dead itself. */
export interface Placement {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  readonly gpuIndexes: readonly number[];
}

/** Everything the head knows of one actor that a restart of the head must not lose. */
export interface ActorRecord {
  /** Changes when the arguments come of an actor that was registered without them, and when its name is lost to another. */
  spec: ActorSpec;
  state: ActorState;
  /** Milliseconds since the epoch. */
  stateSince: number;
  /** Grows with everything that holders can see. */
  revision: number;
  /** Number of the current life, from 0. */
  incarnation: number;
  /** Restarts that count against maxRestarts. */
  restarts: number;
  /** Nodes that died, one after the other, while they were to start the life that comes next. */
  lostStarts?: number | undefined;
  /** The last that was lost so. */
  lostUncounted?: { readonly incarnation: number; readonly cause: DeathCause } | undefined;
  /** Incarnations that were lost with their nodes before they lived. */
  unborn?: number | undefined;
  placement?: Placement | undefined;
  address?: ProcessAddress | undefined;
  pid?: number | undefined;
  /** Of a task worker: its task waits, and its CPUs are lent. */
  isBlocked?: boolean | undefined;
  /** Of a task worker: its holder was asked to give it back, for others wait. */
  isWanted?: boolean | undefined;
  /** A graceful end is under way. */
  stopping?: DeathCause | undefined;
  /** Of the last life that ended. */
  deathCause?: DeathCause | undefined;
  encodedError?: Uint8Array | undefined;
  perNode?: Record<string, string> | undefined;
  errorName?: string | undefined;
}

export function createActorRecord(spec: ActorSpec, now: number): ActorRecord {
  // Of a lease nothing is written down: what a later head says of it must still be newer than what this one said.
  const revision = spec.kind === 'task-worker' ? now : 0;
  return { spec, state: 'pending', stateSince: now, revision, incarnation: 0, restarts: 0 };
}

/** A lease: an internal actor that runs tasks. Nothing of it is written down. */
export function isTaskWorker(record: ActorRecord): boolean {
  return record.spec.kind === 'task-worker';
}

/** A lease that is over because its holder has returned it, as no other is: its process may live on. */
export function isGivenBack(record: ActorRecord): boolean {
  return isTaskWorker(record) && record.state === 'dead' && record.deathCause?.kind === 'returned';
}

/** Living, and its constructor waits for refs: it cannot be started before its creator sends their values. */
export function awaitsArguments(record: ActorRecord): boolean {
  return record.state === 'pending' && record.spec.awaitsArguments === true;
}

/** It dies with the process that created it. */
export function diesWithOwner(record: ActorRecord): boolean {
  return record.spec.lifetime === 'job' || awaitsArguments(record);
}

/** Waits for a place: living, and no incarnation of it is left anywhere. */
export function isQueued(record: ActorRecord): boolean {
  const isWaiting = record.state === 'pending' || record.state === 'restarting';
  return isWaiting && record.placement === undefined && !awaitsArguments(record);
}

/** Placed, and its node has not yet said that it lives. */
export function isStarting(record: ActorRecord): boolean {
  const isWaiting = record.state === 'pending' || record.state === 'restarting';
  return isWaiting && record.placement?.incarnation === record.incarnation;
}

/** The start of just this incarnation, there, is what it waits for. */
export function isStartingAs(record: ActorRecord, nodeId: NodeId, incarnation: number): boolean {
  const { placement } = record;
  return (
    isStarting(record) && placement?.nodeId === nodeId && placement.incarnation === incarnation
  );
}
