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
  /** Directory for this host's Unix socket. */
  socketDirectory: string;
  /** Where compiled TypeScript modules are kept, by content. */
  moduleCacheDirectory: string;
  /** Host interface for TCP channels; absent: Unix sockets only. */
  tcpHost?: string;
  token: string;
  /** URLs of modules that every actor will import (the SDK): loaded while the host waits for its first actor. */
  preloadModules?: readonly string[];
  /** Take channels over NATS too: for nodes that others cannot reach in any other way. */
  listenOnNats?: boolean;
  /** `nats://host:port` of the broker, for code in actors that uses the SDK. */
  brokerAddress: string;
}

export interface StartActor {
  spec: ActorSpec;
  incarnation: number;
  gpuIndexes: number[];
}

export type AgentToHost =
  | { type: 'configure'; configuration: HostConfiguration }
  | { type: 'start'; actors: StartActor[] }
  | { type: 'end'; actorId: ActorId; incarnation: number; how: 'kill' | 'stop'; cause: DeathCause }
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
    };
