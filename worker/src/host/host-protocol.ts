import type { StorePlace } from '@manta/runtime/core/store-attachment';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId, ClusterId, NodeId, ProcessId } from '@manta/runtime/ids';
import type { ActorSpec, Isolation, ProcessAddress } from '@manta/runtime/wire/messages';

/**
 * Messages between an agent and its host processes, over Node's IPC channel (`serialization: 'advanced'`). Both ends
 * are ours and of one version, so these are types without validators.
 *
 * A host gets `configure` first and answers `ready` when its channel server listens. A 'process' host takes exactly
 * one `start` with one actor and exits when that actor ends; a 'shared' host takes any number; a 'thread' host starts
 * a worker thread per actor. A host whose IPC channel closes has lost its agent and exits at once.
 */
export interface HostConfiguration {
  clusterId: ClusterId;
  nodeId: NodeId;
  processId: ProcessId;
  machineId: string;
  isolation: Isolation;
  /** The agent, whose store of objects the host attaches to when it first needs it. */
  agent: ProcessAddress;
  /** Where that store is. */
  storePlace: StorePlace;
  /** Directory for this host's Unix socket. */
  socketDirectory: string;
  /** Where compiled TypeScript modules are kept, by content. */
  moduleCacheDirectory: string;
  /** Host interface for TCP channels; absent: Unix sockets only. Unless it is the loopback, NATS is a way here too. */
  tcpHost?: string;
  token: string;
  /** To be started, called and forgotten while the host waits for its first actor (warm-up.ts). */
  practice?: StartActor;
  /** `nats://host:port` of the broker, for code in actors that uses the SDK. */
  brokerAddress: string;
}

export interface StartActor {
  spec: ActorSpec;
  incarnation: number;
  /** Lives that it has had. Absent: as many as incarnations. */
  restarts?: number | undefined;
  gpuIndexes: number[];
}

export type AgentToHost =
  | { type: 'configure'; configuration: HostConfiguration }
  | { type: 'start'; actors: StartActor[] }
  /**
   * `return`, of a task worker: forget the lease and answer `returned` when nothing of it runs any more; the process
   * stays for the next `start`. When something still runs, answer `ended` and exit as after the end of an actor.
   */
  | {
      type: 'end';
      actorId: ActorId;
      incarnation: number;
      how: 'kill' | 'stop' | 'return';
      cause: DeathCause;
    }
  /**
   * To a task host without a lease: exit, or answer `retained` when it owns objects or actors that others still
   * need; it is asked again later. It gets no `start` before it has answered.
   */
  | { type: 'retire' }
  /** Refuse channels from other nodes (test clusters only). */
  | { type: 'partition'; on: boolean };

export type HostToAgent =
  | { type: 'ready'; address: ProcessAddress }
  | { type: 'started'; actorId: ActorId; incarnation: number; address: ProcessAddress }
  /** The actor is over; its host goes on when it is 'shared' or 'thread'. `encodedError`: what the constructor threw. */
  | {
      type: 'ended';
      actorId: ActorId;
      incarnation: number;
      cause: DeathCause;
      encodedError?: Uint8Array;
    }
  /**
   * Answer to `end` with `return`: the process is ready for another lease, or has run as many tasks as it may
   * (`isSpent`) and is asked to retire.
   */
  | { type: 'returned'; actorId: ActorId; incarnation: number; isSpent: boolean }
  /** Answer to `retire` of a host that stays. */
  | { type: 'retained' }
  /** So many channels were refused since the last such message. */
  | { type: 'refused-channels'; channels: number }
  /**
   * The one task that a task worker runs waits for refs of others (`get`, `wait`, `await` of a pending ref): its CPUs
   * may run something else. Sent once per wait that the event loop can see, in pairs, and only after the wait has
   * lasted for a few milliseconds (a wait that is over in the same turn is none).
   */
  | { type: 'blocked'; actorId: ActorId; incarnation: number }
  | { type: 'unblocked'; actorId: ActorId; incarnation: number };
