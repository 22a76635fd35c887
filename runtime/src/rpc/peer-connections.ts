import type { ChannelPeer } from '../channel/channel.ts';
import { openChannel } from '../channel/open-channel.ts';
import { ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import type { ClusterId, NodeId, ProcessId } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { subjectsOf } from '../wire/subjects.ts';
import { PeerConnection } from './peer-connection.ts';

export interface PeerConnectionsOptions {
  self: ChannelPeer;
  clusterId: ClusterId;
  machineId: string;
  token: string;
  /** TCP connections to peers are encrypted, as those to this process are. Default false. */
  encrypted?: boolean | undefined;
  /** For the last way, a conversation over NATS. */
  transport: () => Promise<Transport>;
  /** What a peer sent could not be handled, and its channel was closed. */
  onRefused: (reason: MantaError) => void;
  /** Before anybody uses a new connection. */
  onConnected?: (connection: PeerConnection, address: ProcessAddress) => void;
  /** A connection is gone; connecting again from here opens a new one. */
  onLost?: (address: ProcessAddress) => void;
}

interface Peer {
  readonly address: ProcessAddress;
  readonly connection: Promise<PeerConnection>;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Nodes never come back under the same id; those that died long ago nobody asks for any more. */
const DEAD_NODES_MAX = 1_000;

/** One connection per process that this one talks to, opened by the nearest way when it is first needed. */
export class PeerConnections {
  readonly #options: PeerConnectionsOptions;
  readonly #peers = new Map<ProcessId, Peer>();
  readonly #deadNodes = new Set<NodeId>();
  #isCut = false;

  constructor(options: PeerConnectionsOptions) {
    this.#options = options;
  }

  /** Connected, or about to be. */
  has(processId: ProcessId): boolean {
    return this.#peers.has(processId);
  }

  /** @throws ClusterUnavailableError the process is gone or cannot be reached. */
  connect(address: ProcessAddress): Promise<PeerConnection> {
    const known = this.#peers.get(address.processId);
    if (known !== undefined) return known.connection;
    const peer: Peer = { address, connection: this.#open(address) };
    this.#peers.set(address.processId, peer);
    const forget = (): void => {
      if (this.#peers.get(address.processId) === peer) this.#peers.delete(address.processId);
    };
    const lost = (): void => {
      forget();
      this.#options.onLost?.(address);
    };
    // The first to hear of it: who awaits the connection comes afterwards.
    peer.connection.then((connection) => {
      this.#options.onConnected?.(connection, address);
      if (connection.closed) lost();
      else connection.onLost(lost);
    }, forget);
    return peer.connection;
  }

  /**
   * The head's verdict: what is connected there is lost now, and nothing can be connected any more. A machine without
   * power or network would else be waited for until its peers lose patience.
   */
  nodeDied(nodeId: NodeId): void {
    this.#deadNodes.add(nodeId);
    const [oldest] = this.#deadNodes;
    if (this.#deadNodes.size > DEAD_NODES_MAX && oldest !== undefined)
      this.#deadNodes.delete(oldest);
    for (const { address, connection } of this.#peers.values())
      if (address.nodeId === nodeId) void closeOnceOpen(connection);
  }

  /** While cut, as in a network partition, nothing is connected and nothing can be. */
  setCut(isCut: boolean): void {
    this.#isCut = isCut;
    if (isCut) void this.close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peer) => closeOnceOpen(peer.connection)));
  }

  async #open(address: ProcessAddress): Promise<PeerConnection> {
    const { self, clusterId, machineId, token, encrypted, transport, onRefused } = this.#options;
    if (this.#isCut) throw new ClusterUnavailableError('this process is cut off from the cluster');
    if (address.nodeId !== undefined && this.#deadNodes.has(address.nodeId))
      throw new ClusterUnavailableError(`node ${address.nodeId} of the process is dead`);
    const channel = await openChannel(address, {
      self,
      machineId,
      token,
      timeoutMs: CONNECT_TIMEOUT_MS,
      encrypted,
      onRefused,
      nats: { transport, subject: subjectsOf(clusterId).processChannel(address.processId) },
    });
    channel.unref();
    return new PeerConnection(channel);
  }
}

async function closeOnceOpen(opening: Promise<PeerConnection>): Promise<void> {
  const connection = await opening.catch(() => undefined); // Told to who connects.
  connection?.channel.close();
}
