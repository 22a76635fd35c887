import type { ChannelPeer } from '../channel/channel.ts';
import { openChannel } from '../channel/open-channel.ts';
import { ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import type { ClusterId, ProcessId } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { subjectsOf } from '../wire/subjects.ts';
import { PeerConnection } from './peer-connection.ts';

export interface PeerConnectionsOptions {
  self: ChannelPeer;
  clusterId: ClusterId;
  machineId: string;
  token: string;
  /** For the last way, a conversation over NATS. */
  transport: () => Promise<Transport>;
  /** What a peer sent could not be handled, and its channel was closed. */
  onRefused: (reason: MantaError) => void;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** One connection per process that this one talks to, opened by the nearest way when it is first needed. */
export class PeerConnections {
  readonly #options: PeerConnectionsOptions;
  readonly #connections = new Map<ProcessId, Promise<PeerConnection>>();
  #isCut = false;

  constructor(options: PeerConnectionsOptions) {
    this.#options = options;
  }

  /** @throws ClusterUnavailableError the process is gone or cannot be reached. */
  connect(address: ProcessAddress): Promise<PeerConnection> {
    const known = this.#connections.get(address.processId);
    if (known !== undefined) return known;
    const opening = this.#open(address);
    this.#connections.set(address.processId, opening);
    const forget = (): void => {
      if (this.#connections.get(address.processId) === opening)
        this.#connections.delete(address.processId);
    };
    opening.then((connection) => {
      if (connection.closed) forget();
      else connection.onLost(forget);
    }, forget);
    return opening;
  }

  /** While cut, as in a network partition, nothing is connected and nothing can be. */
  setCut(isCut: boolean): void {
    this.#isCut = isCut;
    if (isCut) void this.close();
  }

  async close(): Promise<void> {
    const connections = await Promise.allSettled(this.#connections.values());
    for (const result of connections)
      if (result.status === 'fulfilled') result.value.channel.close();
  }

  async #open(address: ProcessAddress): Promise<PeerConnection> {
    const { self, clusterId, machineId, token, transport, onRefused } = this.#options;
    if (this.#isCut) throw new ClusterUnavailableError('this process is cut off from the cluster');
    const channel = await openChannel(address, {
      self,
      machineId,
      token,
      timeoutMs: CONNECT_TIMEOUT_MS,
      onRefused,
      nats: { transport, subject: subjectsOf(clusterId).processChannel(address.processId) },
    });
    channel.unref();
    return new PeerConnection(channel);
  }
}
