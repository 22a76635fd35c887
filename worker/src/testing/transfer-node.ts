import { randomFillSync } from 'node:crypto';
import type { Channel, ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels, type ListenOptions } from '@manta/runtime/channel/channel-server';
import { BlobReleases } from '@manta/runtime/core/blob-releases';
import { createIdMint, type BlobId, type ClusterId, type NodeId } from '@manta/runtime/ids';
import type { BlobDescriptor, SlotAddress } from '@manta/runtime/objects/blob';
import { BlobOwner } from '@manta/runtime/objects/blob-owner';
import { BlobServer } from '@manta/runtime/objects/blob-server';
import type { ChunkRequest } from '@manta/runtime/objects/chunks';
import { PeerConnections } from '@manta/runtime/rpc/peer-connections';
import { RECORD } from '@manta/runtime/rpc/records';
import { systemClock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { subjectsOf } from '@manta/runtime/wire/subjects';
import { PullManager, type PullManagerOptions, type PullStore } from '../transfer/pull-manager.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const TOKEN = 'transfer-test';

export interface TransferNodeOptions {
  /** Default: TCP on the loopback interface. */
  listen?: Partial<ListenOptions>;
  /** Nodes with the same one reach each other over Unix sockets. Default: each its own. */
  machineId?: string;
  transport?: Transport;
  pulls?: Partial<PullManagerOptions>;
  bytesPerPeer?: number;
}

/** The parts of an agent that move blobs, over real channels, with a store in the heap. It owns what it puts. */
export class TransferNode {
  readonly nodeId: NodeId = mintId('node');
  readonly processId = mintId('process');
  /** Owned blobs of which no copy is left. */
  readonly lost: BlobId[] = [];
  readonly lossReasons: string[] = [];
  /** Blobs that their owners told this node to drop. */
  readonly released: BlobId[] = [];
  readonly store = new HeapStore();
  readonly owner: BlobOwner;
  readonly server: BlobServer;
  readonly pulls: PullManager;
  readonly connections: PeerConnections;
  /** Of blobs that can be served from here. */
  readonly slots = new Map<BlobId, SlotAddress>();
  /** What is read for a peer, before it is sent. */
  onRead: (request: ChunkRequest, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array> = (
    _request,
    bytes,
  ) => bytes;
  /** Numbers of the chunks served from here, from 0, that do not fit their checksums. */
  readonly corruptChunks = new Set<number>();
  #chunks = 0;
  readonly #machineId: string;
  #listening: ChannelServer | undefined;

  private constructor(options: TransferNodeOptions) {
    this.#machineId = options.machineId ?? this.nodeId;
    const { transport } = options;
    this.connections = new PeerConnections({
      self: { processId: this.processId, role: 'agent' },
      clusterId: CLUSTER,
      machineId: this.#machineId,
      token: TOKEN,
      transport: () =>
        transport === undefined
          ? Promise.reject(new Error('no message bus in this test'))
          : Promise.resolve(transport),
      onRefused: () => undefined,
    });
    const connect = (address: ProcessAddress) => this.connections.connect(address);
    const releases = new BlobReleases(systemClock, connect);
    this.owner = new BlobOwner({
      connect,
      release: (agent, blobId) => releases.add(agent, blobId),
      onLost: (blobId, reason) => {
        this.lost.push(blobId);
        this.lossReasons.push(reason);
      },
    });
    this.server = new BlobServer({
      reader: { read: (request, target) => this.#read(request, target) },
      ...(options.bytesPerPeer === undefined ? {} : { bytesPerPeer: options.bytesPerPeer }),
    });
    this.pulls = new PullManager({
      store: this.store,
      makeRoom: () => Promise.reject(new Error('the store is full')),
      agent: () => this.address,
      connect,
      clock: systemClock,
      onPulled: (blob, slot) => this.slots.set(blob.blobId, slot),
      ...options.pulls,
    });
  }

  static async start(options: TransferNodeOptions = {}): Promise<TransferNode> {
    const node = new TransferNode(options);
    node.#listening = await listenChannels({
      processId: node.processId,
      role: 'agent',
      machineId: node.#machineId,
      nodeId: node.nodeId,
      token: TOKEN,
      onChannel: (channel) => node.#accept(channel),
      ...(options.listen ?? { tcpHost: '127.0.0.1' }),
    });
    return node;
  }

  get address(): ProcessAddress {
    if (this.#listening === undefined) throw new Error('the node does not listen yet');
    return this.#listening.address;
  }

  /** Stores a copy of the bytes here, for `owner`. */
  put(bytes: Uint8Array, owner: TransferNode = this): BlobDescriptor {
    const place = this.store.reserve(bytes.byteLength);
    if (place === undefined) throw new Error('the store is full');
    place.write(0, bytes);
    const blobId = mintId('blob');
    this.slots.set(blobId, place.slot);
    const blob = { blobId, sizeBytes: bytes.byteLength, agent: this.address, slot: undefined };
    owner.owner.sources.add(blob);
    return blob;
  }

  /** The bytes, pulled from wherever its owner says. */
  async get(blob: BlobDescriptor, owner: ProcessAddress): Promise<Uint8Array> {
    return this.store.bytesOf(await this.pulls.pull(blob, owner));
  }

  async listenOnBus(transport: Transport): Promise<void> {
    const subject = subjectsOf(CLUSTER).processChannel(this.processId);
    await this.#listening?.listenOnNats({ transport, subject });
  }

  async close(): Promise<void> {
    await this.connections.close();
    await this.#listening?.close();
  }

  #accept(channel: Channel): void {
    const send = channel.send.bind(channel);
    channel.send = (record, segments, whenSent) => {
      if (record[0] === RECORD.blobChunk && this.corruptChunks.delete(this.#chunks++))
        record[2] = (record[2] as number) ^ 1;
      send(record, segments, whenSent);
    };
    channel.onRecord((record) => {
      if (this.server.receive(channel, record) || this.owner.receive(channel, record)) return;
      if (record[0] !== RECORD.storeRelease) return;
      this.released.push(...(record[2] as BlobId[]));
      channel.send([RECORD.result, record[1], null]);
    });
    channel.onClose(() => this.owner.peerGone(channel.peer.processId));
  }

  async #read(request: ChunkRequest, target: Uint8Array): Promise<boolean> {
    const slot = this.slots.get(request.blobId);
    if (slot === undefined) return false;
    const { offset, bytes } = request;
    target.set(
      await this.onRead(request, this.store.bytesOf(slot).subarray(offset, offset + bytes)),
    );
    return true;
  }
}

/** Subjects carry it when channels go over the message bus. */
export const CLUSTER: ClusterId = mintId('cluster');

/** A store without shared memory: slots are Buffers. */
export class HeapStore implements PullStore {
  limitBytes = Infinity;
  readonly #slots = new Map<number, Buffer>();
  #nextSegment = 0;

  get usedBytes(): number {
    return [...this.#slots.values()].reduce((sum, { length }) => sum + length, 0);
  }

  reserve(
    sizeBytes: number,
  ): { slot: SlotAddress; write(offset: number, bytes: Uint8Array): void } | undefined {
    if (this.usedBytes + sizeBytes > this.limitBytes) return undefined;
    const memory = Buffer.alloc(sizeBytes);
    const slot = { segmentId: this.#nextSegment++, offset: 0, generation: 0 };
    this.#slots.set(slot.segmentId, memory);
    return { slot, write: (offset, bytes) => memory.set(bytes, offset) };
  }

  release(slots: readonly SlotAddress[]): void {
    for (const { segmentId } of slots) this.#slots.delete(segmentId);
  }

  bytesOf({ segmentId }: SlotAddress): Buffer {
    const bytes = this.#slots.get(segmentId);
    if (bytes === undefined) throw new Error(`no slot ${segmentId}`);
    return bytes;
  }
}
