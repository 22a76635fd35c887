import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { NodeId, ProcessId } from '@manta/runtime/ids';
import type { ActorState, NodeCommand } from '@manta/runtime/wire/messages';
import type { ActorRecord, Placement } from './actor-record.ts';

export type ActorEffect =
  /** Write it down. */
  | { type: 'save' }
  | { type: 'save-spec' }
  /** Tell the holders. */
  | { type: 'announce' }
  | { type: 'enqueue' }
  | { type: 'dequeue' }
  | { type: 'command'; nodeId: NodeId; command: NodeCommand }
  /** The placement is over: its resources are free again. */
  | { type: 'release'; placement: Placement }
  /** Its CPUs are for others, and its own again. */
  | { type: 'lend-cpus'; nodeId: NodeId }
  | { type: 'reclaim-cpus'; nodeId: NodeId }
  /** The process that was this actor's own is gone, with all that it owned and held. */
  | { type: 'process-gone'; processId: ProcessId; cause: DeathCause }
  | { type: 'died' }
  | { type: 'revived' };

// What several transitions of the actor machine do.

export function startCommand(record: ActorRecord, placement: Placement): NodeCommand {
  const { spec, unborn } = record;
  const { incarnation } = placement;
  const gpuIndexes = [...placement.gpuIndexes];
  const restarts = unborn === undefined ? undefined : incarnation - unborn;
  return { type: 'start-actor', spec, incarnation, restarts, gpuIndexes };
}

/** The own process of a killed actor stays known until its end is confirmed: only then is what it owned orphaned. */
export function die(record: ActorRecord, cause: DeathCause, now: number): ActorEffect[] {
  setState(record, 'dead', now);
  record.deathCause = cause;
  return [{ type: 'save' }, { type: 'announce' }, { type: 'dequeue' }, { type: 'died' }];
}

export function beginRestart(
  record: ActorRecord,
  cause: DeathCause,
  now: number,
  counts: boolean,
): void {
  setState(record, 'restarting', now);
  record.incarnation++;
  if (counts) record.restarts++;
  record.deathCause = cause;
}

export function setState(record: ActorRecord, state: ActorState, now: number): void {
  record.state = state;
  record.stateSince = now;
  record.revision++;
}

export function hasRestartsLeft(record: ActorRecord): boolean {
  return record.spec.maxRestarts === -1 || record.restarts < record.spec.maxRestarts;
}

export function isCurrent(record: ActorRecord, nodeId: NodeId, incarnation: number): boolean {
  return (
    record.incarnation === incarnation &&
    record.placement?.incarnation === incarnation &&
    record.placement.nodeId === nodeId
  );
}

export function staleCause(nodeId: NodeId): DeathCause {
  return { kind: 'killed', message: 'The head does not want this incarnation any more.', nodeId };
}

export function endCommand(
  record: ActorRecord,
  { nodeId, incarnation }: Pick<Placement, 'nodeId' | 'incarnation'>,
  how: Extract<NodeCommand, { type: 'end-actor' }>['how'],
  cause: DeathCause,
): ActorEffect {
  const { actorId } = record.spec;
  const command: NodeCommand = { type: 'end-actor', actorId, incarnation, how, cause };
  return { type: 'command', nodeId, command };
}
