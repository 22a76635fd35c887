import type { ChannelPeer } from '../channel/channel.ts';
import type { ClusterId, MintId, NodeId, ProcessId } from '../ids.ts';
import type { Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { StorePlace } from './store-attachment.ts';

export interface CoreOptions {
  clusterId: ClusterId;
  processId: ProcessId;
  role: ChannelPeer['role'];
  machineId: string;
  nodeId?: NodeId | undefined;
  token: string;
  /** Channels over TCP are encrypted: the bus is spoken to with TLS. Default false. */
  encrypted?: boolean;
  /** The agent of this process's node, whose object store it may use; `store.useAgent` says it later. */
  agent?: ProcessAddress;
  /** Where that store is, so that it can be opened without asking the agent first. */
  storePlace?: StorePlace;
  /** What may be kept to make lost objects again. Default: MANTA_LINEAGE_BYTES, else 1 GiB. */
  lineageBytes?: number;
  clock: Clock;
  mintId: MintId;
  /** Connects to the control plane; called once, when it is first needed. */
  connectTransport(): Promise<Transport>;
  /** How others reach the objects of this process. */
  address: ProcessAddress;
  /** Makes a handle from what the codec received. */
  reviveHandle(data: unknown): unknown;
  warn(message: string, error: unknown): void;
}
