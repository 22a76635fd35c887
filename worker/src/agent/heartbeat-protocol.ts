import type { ClusterId, NodeId } from '@manta/runtime/ids';
import type { ObjectStoreState } from '@manta/runtime/wire/object-store-state';

/** What the heartbeat thread needs from the start. */
export interface HeartbeatConfiguration {
  natsUrl: string;
  token: string;
  clusterId: ClusterId;
  /** Memory of `ProcessGroups`. */
  processGroups: SharedArrayBuffer;
  identity: HeartbeatIdentity;
}

/** What the head said at the last registration. */
export interface HeartbeatIdentity {
  nodeId: NodeId;
  sessionId: string;
  heartbeatIntervalMs: number;
  fencingTimeoutMs: number;
}

/** What each heartbeat tells beside being one. */
export interface NodeVitals {
  objectStore?: ObjectStoreState;
  /** So far, by the processes of this node. */
  refusedChannels: number;
}

export type AgentToHeartbeat =
  /** The head has just accepted this node. */
  | { type: 'registered'; identity: HeartbeatIdentity }
  /** For the next heartbeats. */
  | { type: 'vitals'; vitals: NodeVitals }
  /** Say and hear nothing (test clusters only). */
  | { type: 'partition'; on: boolean }
  | { type: 'stop' };

export type HeartbeatToAgent =
  /** It beats and answers pings. */
  | { type: 'running' }
  | { type: 'log'; level: 'info' | 'warn'; message: string }
  /** It has killed all hosts of this node. */
  | { type: 'fenced'; withoutContactMs: number; hosts: number }
  | { type: 'register-again' };
