import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { NodeId } from '@manta/runtime/ids';
import type { ActorSpec, ProcessAddress } from '@manta/runtime/wire/messages';
import {
  awaitsArguments,
  isQueued,
  isStarting,
  isStartingAs,
  isTaskWorker,
  type ActorRecord,
  type Placement,
} from './actor-record.ts';
import {
  beginRestart,
  die,
  endCommand,
  hasRestartsLeft,
  isCurrent,
  setState,
  staleCause,
  startCommand,
  type ActorEffect,
} from './actor-steps.ts';

export type ActorEvent =
  | { type: 'placed'; placement: Placement }
  | { type: 'started'; nodeId: NodeId; incarnation: number; address: ProcessAddress; pid: number }
  | {
      type: 'ended';
      nodeId: NodeId;
      incarnation: number;
      cause: DeathCause;
      encodedError?: Uint8Array | undefined;
    }
  | { type: 'node-lost'; nodeId: NodeId; cause: DeathCause }
  /** Its owner has spoken to this incarnation. */
  | { type: 'lived'; incarnation: number }
  /** The command to start this incarnation has never left the head: nobody at its node listens. */
  | { type: 'unheard'; nodeId: NodeId; incarnation: number }
  /** What an actor that was registered without them needs for its constructor. */
  | { type: 'arguments-came'; spec: ActorSpec }
  | { type: 'arguments-failed'; cause: DeathCause; encodedError?: Uint8Array | undefined }
  | { type: 'kill'; cause: DeathCause; restart: boolean; counts: boolean }
  | { type: 'stop'; cause: DeathCause }
  /** A lost result of it is to be made again. */
  | { type: 'revive' }
  /** Of a task worker: its holder needs it no more. */
  | { type: 'return'; cause: DeathCause }
  | { type: 'blocked'; nodeId: NodeId; incarnation: number; isBlocked: boolean }
  /** Of a task worker: others wait for what it has. */
  | { type: 'wanted' }
  | {
      type: 'unschedulable';
      cause: DeathCause;
      errorName: string;
      perNode: Record<string, string>;
    };

/** Ends after which nothing is started again, whatever maxRestarts says. */
const FINAL_CAUSES = new Set([
  'constructor-failed',
  'exited',
  'stopped',
  'out-of-scope',
  'owner-died',
  'runtime-env-failed',
  'returned',
]);

/**
 * An actor that has seen so many nodes die in a row while they started it may be what kills them: from then on the
 * death of its node counts, so that one constructor cannot take a whole cluster down.
 */
const LOST_STARTS_MAX = 3;

/**
 * The life of one actor.
 *
 *      (1) create
 *          │                (3) started
 *          ▼        ┌─────────────────────────────┐
 *   ┌── pending ────┤                             ▼
 *   │ ↺ (2)(16)(17) └──(5)──► restarting ──(3)──► alive ──(4)(6)(7)(9)(21)──► dead
 *   │ placed (18)(21)     ↺ (2)(16)(17)(21) ▲       │                         ↺ (10)
 *   └──(4)(6)(7)(9)(11)(13)(19)(21)──► dead ├─(5)(8)┘
 *                                       │   │
 *                                       └─(20)
 *
 *  1 created: queued for a place, unless it awaits its arguments: then it can be stopped, killed and held, no more.
 *  2 placed: the node is told to start this incarnation; resources are taken.
 *  3 started: the constructor has finished.
 *  4 ended for a final cause (its constructor threw, it exited, it was stopped …): dead, never restarted.
 *  5 ended by accident, or its node died while it was alive (or for the fourth time in a row before it was), with
 *    restarts left: the next incarnation is queued.
 *  6 the same with none left: dead.
 *  7 killed for good (kill(), its owner died): dead at once for everybody; its node is told, and its resources stay
 *    taken until (10).
 *  8 killed with `restart` and restarts left: restarting, but queued only at (10): never two incarnations.
 *    With none left as (7). Not yet placed: nothing to kill, nothing happens.
 *  9 stopped: without a place dead at once, else the node ends it gracefully and (4) follows.
 * 10 the end of an incarnation that was left behind is confirmed: its resources are free; when restarting, queued.
 * 11 cannot be scheduled: dead.
 * 12 a start of an incarnation that is not wanted is answered with a kill; any other stale report changes nothing.
 * 16 its node died before it answered the start: nobody has spoken to this incarnation, or (21) follows, so the next one is
 *    queued at no cost, in the same state as before.
 * 17 its node never heard of the start: queued again as it was.
 * 18 the arguments have come: queued for a place.
 * 19 the arguments cannot be had: dead.
 * 20 a result that was lost is to be made again by one that went out of scope, or is ended for that, and that has
 *    restarts left (as in Ray): the next incarnation is queued, at (10) when one is left behind.
 * 21 its owner has spoken, by the word of its process, to the incarnation that went last by (16): it counts as a restart
 *    after all, or with none left the actor is dead, and what has come after it is killed.
 *
 * Of task workers only:
 * 13 returned: dead at once, nobody is told; its node ends the lease and keeps its process, and (10) follows. With a
 *    device (10) may take long: the CPUs are lent meanwhile.
 * 14 blocked and unblocked, while alive: its CPUs are lent to others and taken again.
 * 15 wanted, while alive: its holder hears, once, that others wait for what it has.
 *
 * Changes `record` and nothing else.
 */
export function stepActor(record: ActorRecord, event: ActorEvent, now: number): ActorEffect[] {
  switch (event.type) {
    case 'placed':
      return onPlaced(record, event.placement);
    case 'started':
      return onStarted(record, event, now);
    case 'ended':
      return onEnded(record, event, now);
    case 'node-lost':
      if (record.placement?.nodeId !== event.nodeId) return [];
      return onNodeLost(record, event.cause, now);
    case 'lived':
      return onLived(record, event, now);
    case 'unheard':
      return onUnheard(record, event, now);
    case 'arguments-came':
      if (!awaitsArguments(record)) return [];
      record.spec = event.spec;
      return [{ type: 'save-spec' }, { type: 'save' }, { type: 'enqueue' }];
    case 'arguments-failed':
      if (!awaitsArguments(record)) return [];
      if (event.encodedError !== undefined) record.encodedError = event.encodedError;
      return die(record, event.cause, now);
    case 'kill':
      return event.restart ? onKillToRestart(record, event, now) : onKill(record, event.cause, now);
    case 'stop':
      return onStop(record, event.cause, now);
    case 'revive':
      return onRevive(record, now);
    case 'return':
      return onReturn(record, event.cause, now);
    case 'blocked':
      return onBlocked(record, event);
    case 'wanted':
      if (record.state !== 'alive' || record.isWanted) return [];
      record.isWanted = true;
      record.revision++;
      return [{ type: 'announce' }];
    case 'unschedulable':
      if (!isQueued(record)) return [];
      record.errorName = event.errorName;
      record.perNode = event.perNode;
      return die(record, event.cause, now);
  }
}

function onPlaced(record: ActorRecord, placement: Placement): ActorEffect[] {
  record.placement = placement;
  return [
    { type: 'save' },
    { type: 'dequeue' },
    { type: 'command', nodeId: placement.nodeId, command: startCommand(record, placement) },
  ];
}

/** Transition 3; 12 when this incarnation is not wanted there. */
function onStarted(
  record: ActorRecord,
  event: Extract<ActorEvent, { type: 'started' }>,
  now: number,
): ActorEffect[] {
  if (!isCurrent(record, event.nodeId, event.incarnation) || record.state === 'dead') {
    return [endCommand(record, event, 'kill', staleCause(event.nodeId))];
  }
  if (record.state === 'alive') return [];
  setState(record, 'alive', now);
  record.lostStarts = undefined;
  record.address = event.address;
  record.pid = event.pid;
  record.deathCause = undefined;
  const effects: ActorEffect[] = [{ type: 'save' }, { type: 'announce' }];
  if (record.stopping) effects.push(endCommand(record, event, 'stop', record.stopping));
  return effects;
}

/** Transitions 4, 5, 6 for the current incarnation, 10 for one left behind. */
function onEnded(
  record: ActorRecord,
  event: Extract<ActorEvent, { type: 'ended' }>,
  now: number,
): ActorEffect[] {
  const { placement } = record;
  if (placement?.nodeId !== event.nodeId || placement.incarnation !== event.incarnation) return [];
  return onPlacementOver(record, event.cause, event.encodedError, now);
}

/** Transition 16 for an incarnation that was starting; 5, 6 or 10 for any other. */
function onNodeLost(record: ActorRecord, cause: DeathCause, now: number): ActorEffect[] {
  const { placement, lostStarts = 0 } = record;
  if (placement === undefined || !isStarting(record) || lostStarts >= LOST_STARTS_MAX)
    return onPlacementOver(record, cause, undefined, now);
  const effects = leaveUnborn(record, placement, now);
  if (record.state === 'dead') return effects;
  record.lostStarts = lostStarts + 1;
  record.unborn = (record.unborn ?? 0) + 1;
  record.lostUncounted = { incarnation: record.incarnation, cause };
  record.incarnation++;
  record.revision++;
  record.deathCause = cause;
  return [...effects, { type: 'announce' }];
}

/** Transition 21. */
function onLived(
  record: ActorRecord,
  event: Extract<ActorEvent, { type: 'lived' }>,
  now: number,
): ActorEffect[] {
  const { unborn = 0, lostUncounted } = record;
  if (record.state === 'dead' || event.incarnation !== lostUncounted?.incarnation) return [];
  record.lostUncounted = undefined;
  record.unborn = unborn - 1;
  if (!hasRestartsLeft(record)) return onKill(record, lostUncounted.cause, now);
  record.restarts++;
  return [{ type: 'save' }];
}

/** Transition 17. */
function onUnheard(
  record: ActorRecord,
  event: Extract<ActorEvent, { type: 'unheard' }>,
  now: number,
): ActorEffect[] {
  const { placement } = record;
  if (placement === undefined || !isStartingAs(record, event.nodeId, event.incarnation)) return [];
  return leaveUnborn(record, placement, now);
}

/** It waits since when it did before; what was to be stopped need not wait. */
function leaveUnborn(record: ActorRecord, placement: Placement, now: number): ActorEffect[] {
  record.placement = undefined;
  const release: ActorEffect = { type: 'release', placement };
  if (record.stopping !== undefined) return [release, ...die(record, record.stopping, now)];
  return [release, { type: 'save' }, { type: 'enqueue' }];
}

function onPlacementOver(
  record: ActorRecord,
  cause: DeathCause,
  encodedError: Uint8Array | undefined,
  now: number,
): ActorEffect[] {
  const { placement, address } = record;
  if (placement === undefined) return [];
  record.placement = undefined;
  const effects: ActorEffect[] = [{ type: 'release', placement }];
  if (address !== undefined && record.spec.isolation !== 'shared' && cause.kind !== 'returned') {
    effects.push({ type: 'process-gone', processId: address.processId, cause });
  }
  record.address = undefined;
  record.pid = undefined;
  record.isBlocked = undefined;
  if (record.state === 'dead') effects.push({ type: 'save' });
  else if (record.incarnation !== placement.incarnation)
    effects.push({ type: 'save' }, { type: 'enqueue' });
  else if (
    record.stopping !== undefined ||
    FINAL_CAUSES.has(cause.kind) ||
    !hasRestartsLeft(record)
  ) {
    if (encodedError !== undefined) record.encodedError = encodedError;
    effects.push(...die(record, cause, now));
  } else {
    beginRestart(record, cause, now, true);
    effects.push({ type: 'save' }, { type: 'announce' }, { type: 'enqueue' });
  }
  return effects;
}

/** Transition 7. */
function onKill(record: ActorRecord, cause: DeathCause, now: number): ActorEffect[] {
  if (record.state === 'dead') return [];
  const effects = die(record, cause, now);
  const { placement } = record;
  if (placement) effects.push(endCommand(record, placement, 'kill', cause));
  return effects;
}

/** Transition 8. */
function onKillToRestart(
  record: ActorRecord,
  event: Extract<ActorEvent, { type: 'kill' }>,
  now: number,
): ActorEffect[] {
  const { placement } = record;
  if (record.state === 'dead' || placement?.incarnation !== record.incarnation) return [];
  if (record.stopping !== undefined || !hasRestartsLeft(record))
    return onKill(record, event.cause, now);
  beginRestart(record, event.cause, now, event.counts);
  return [
    { type: 'save' },
    { type: 'announce' },
    endCommand(record, placement, 'kill', event.cause),
  ];
}

/** Transition 9. */
function onStop(record: ActorRecord, cause: DeathCause, now: number): ActorEffect[] {
  if (record.state === 'dead' || record.stopping !== undefined) return [];
  const { placement } = record;
  if (placement === undefined || placement.incarnation !== record.incarnation)
    return die(record, cause, now);
  record.stopping = cause;
  return [{ type: 'save' }, endCommand(record, placement, 'stop', cause)];
}

/** Transition 20. */
function onRevive(record: ActorRecord, now: number): ActorEffect[] {
  const isDead = record.state === 'dead';
  const cause = isDead ? record.deathCause : record.stopping;
  if (cause?.kind !== 'out-of-scope' || !hasRestartsLeft(record)) return [];
  record.stopping = undefined;
  beginRestart(record, cause, now, true);
  const effects: ActorEffect[] = isDead ? [{ type: 'revived' }] : [];
  effects.push({ type: 'save' }, { type: 'announce' });
  if (record.placement === undefined) effects.push({ type: 'enqueue' });
  return effects;
}

/** Transition 13. */
function onReturn(record: ActorRecord, cause: DeathCause, now: number): ActorEffect[] {
  if (record.state === 'dead') return [];
  setState(record, 'dead', now);
  record.deathCause = cause;
  const effects: ActorEffect[] = [{ type: 'dequeue' }, { type: 'died' }];
  const { placement } = record;
  if (placement === undefined) return effects;
  effects.push(endCommand(record, placement, 'return', cause));
  // Its process keeps a device for as long as others need what it owns, but runs nothing.
  if (placement.gpuIndexes.length > 0 && record.isBlocked !== true) {
    record.isBlocked = true;
    effects.push({ type: 'lend-cpus', nodeId: placement.nodeId });
  }
  return effects;
}

/** Transition 14. */
function onBlocked(
  record: ActorRecord,
  event: Extract<ActorEvent, { type: 'blocked' }>,
): ActorEffect[] {
  const { nodeId, isBlocked } = event;
  if (!isTaskWorker(record) || !isCurrent(record, nodeId, event.incarnation)) return [];
  if (isBlocked === (record.isBlocked ?? false) || record.state !== 'alive') return [];
  record.isBlocked = isBlocked;
  return [{ type: isBlocked ? 'lend-cpus' : 'reclaim-cpus', nodeId }];
}
