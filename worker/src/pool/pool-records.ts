import type { JobId, ProcessId } from '@manta/runtime/ids';
import type { Isolation } from '@manta/runtime/wire/messages';
import type { PoolSettings } from './pool-settings.ts';

/** What `pool-state.ts` works on. */
export type HostPhase = 'starting' | 'idle' | 'busy' | 'kept' | 'retiring' | 'spent' | 'stopping';

/** `actorId#incarnation`. */
export type ActorKey = string;

export interface HostRecord {
  readonly hostId: ProcessId;
  readonly isolation: Isolation;
  /** Of 'shared' and 'thread' hosts. */
  readonly group: string | undefined;
  phase: HostPhase;
  /** The group of the lease that it has or had: it may be kept for the next one. */
  leaseGroup: string | undefined;
  readonly actors: Set<ActorKey>;
  /** Assigned before the host was ready. */
  pending: ActorKey[];
}

export interface PoolState {
  readonly settings: PoolSettings;
  readonly hosts: Map<ProcessId, HostRecord>;
  readonly hostOfActor: Map<ActorKey, ProcessId>;
  /** Hosts of each group, in the order of their start. */
  readonly groups: Map<string, HostRecord[]>;
  /** Idle 'process' hosts, the oldest first. */
  readonly idle: Set<HostRecord>;
  /** 'process' hosts between two leases, the longest idle first. */
  readonly kept: Set<HostRecord>;
  /** 'process' actors that no host is ready for, with their group when they are leases; the first waits longest. */
  readonly waiting: Map<ActorKey, string | undefined>;
  startingProcessHosts: number;
  failedStarts: number;
  /** False before `open` and from `close` on: the pool is not filled up. */
  filling: boolean;
  closed: boolean;
}

export interface Assignment {
  actorKey: ActorKey;
  isolation: Isolation;
  /** Actors of different groups never share a host; for 'process' of use with leases only. */
  group: string;
  /** A lease of an isolation 'process' may have the host of an earlier one of its group. */
  isLease?: boolean;
  /** Variables that a process must be started with: no host that was started without them will do. */
  startVariables?: Record<string, string> | undefined;
}

export type PoolEvent =
  | { type: 'open' }
  | { type: 'assign'; assignments: readonly Assignment[] }
  | { type: 'ready'; hostId: ProcessId }
  /** The host says that the actor is over, or it was withdrawn before it got a host. */
  | { type: 'actor-ended'; actorKey: ActorKey }
  /** The host has ended the lease and may have another one. */
  | { type: 'returned'; actorKey: ActorKey }
  /** The lease is over, and its host takes no other. `isHeld`: its place is free only when the host is gone. */
  | { type: 'spent'; actorKey: ActorKey; isHeld: boolean }
  /** The host was asked to retire and is still needed. */
  | { type: 'retained'; hostId: ProcessId }
  /** Nobody needs what is kept of this job any more. */
  | { type: 'job-ended'; jobId: JobId }
  | { type: 'idle-timeout'; hostId: ProcessId }
  /** The node has time for one more host than it must have. */
  | { type: 'leisure' }
  | { type: 'exited'; hostId: ProcessId }
  /** None of the hosts may be used again, whatever runs on them. */
  | { type: 'discard' }
  /** As `discard`, and none is started again. */
  | { type: 'close' };

export type PoolEffect =
  | {
      type: 'spawn';
      hostId: ProcessId;
      isolation: Isolation;
      group: string | undefined;
      startVariables?: Record<string, string> | undefined;
    }
  | { type: 'start'; hostId: ProcessId; actorKeys: ActorKey[] }
  /** Nothing runs on the host any more: end it. */
  | { type: 'stop'; hostId: ProcessId }
  /** Ask whether it is needed: it exits, or says `retained`. */
  | { type: 'retire'; hostId: ProcessId }
  /** It is still needed, and to be asked again soon: send `idle-timeout` then. */
  | { type: 'arm-retirement'; hostId: ProcessId }
  /** Its job is over: it is not needed, whatever it owns. */
  | { type: 'end'; hostId: ProcessId }
  /** A host has just become empty: send `idle-timeout` after a while. */
  | { type: 'arm-idle-timeout'; hostId: ProcessId }
  /** These actors ended with the host (`hostId` of the effect), or no host could be started for them. */
  | { type: 'lost'; hostId: ProcessId; actorKeys: ActorKey[] };

export function createPoolState(settings: PoolSettings): PoolState {
  return {
    settings,
    hosts: new Map(),
    hostOfActor: new Map(),
    groups: new Map(),
    idle: new Set(),
    kept: new Set(),
    waiting: new Map(),
    startingProcessHosts: 0,
    failedStarts: 0,
    filling: false,
    closed: false,
  };
}
