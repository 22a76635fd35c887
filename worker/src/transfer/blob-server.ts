import { crc32 } from 'node:zlib';
import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import { ObjectLostError, ProtocolError } from '@manta/runtime/errors/errors';
import { parseId, type BlobId } from '@manta/runtime/ids';
import { slotFrom, type SlotAddress } from '@manta/runtime/objects/blob';
import { RECORD } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import { LIMITS } from '@manta/runtime/wire/limits';

export interface ChunkRequest {
  blobId: BlobId;
  offset: number;
  bytes: number;
  /** Where it lay on this node when it was described: of what a process stored for itself the agent knows no more. */
  slot: SlotAddress | undefined;
}

/** Where a node's blobs are read from: its shared memory, or its disk. */
export interface BlobReader {
  /** The bytes asked for, which do not change; undefined: not here (any more), or not so long. */
  read(request: ChunkRequest): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

export interface BlobServerOptions {
  reader: BlobReader;
  /** Once so many bytes read for one peer have not left this process, its next request waits. Default 8 MiB. */
  bytesPerPeer?: number;
}

interface Request extends ChunkRequest {
  call: number;
}

const BYTES_PER_PEER = 8 * 1024 * 1024;

/** Answers the chunk requests of other nodes (record blobPull). */
export class BlobServer {
  readonly #reader: BlobReader;
  readonly #bytesPerPeer: number;
  readonly #peers = new Map<Channel, PeerQueue>();
  #servedBytes = 0;
  #servedChunks = 0;

  constructor({ reader, bytesPerPeer = BYTES_PER_PEER }: BlobServerOptions) {
    this.#reader = reader;
    this.#bytesPerPeer = bytesPerPeer;
  }

  statistics(): { servedBytes: number; servedChunks: number; waitingRequests: number } {
    let waitingRequests = 0;
    for (const queue of this.#peers.values()) waitingRequests += queue.length;
    return { servedBytes: this.#servedBytes, servedChunks: this.#servedChunks, waitingRequests };
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    if (record[0] !== RECORD.blobPull) return false;
    this.#queueOf(channel).push(requestFrom(record));
    return true;
  }

  #queueOf(channel: Channel): PeerQueue {
    let queue = this.#peers.get(channel);
    if (queue === undefined) {
      queue = new PeerQueue(channel, this.#bytesPerPeer, (request) => this.#read(request));
      this.#peers.set(channel, queue);
      channel.onClose(() => {
        this.#peers.get(channel)?.close();
        this.#peers.delete(channel);
      });
    }
    return queue;
  }

  async #read(request: Request): Promise<Uint8Array> {
    const { blobId, bytes } = request;
    const chunk = await this.#reader.read(request);
    if (chunk === undefined || chunk.byteLength !== bytes)
      throw new ObjectLostError(`This node does not have blob ${blobId} (any more).`);
    this.#servedBytes += bytes;
    this.#servedChunks += 1;
    return chunk;
  }
}

/** The requests of one peer, answered in order; the next is read when enough of the answers have left. */
class PeerQueue {
  readonly #channel: Channel;
  readonly #limitBytes: number;
  readonly #read: (request: Request) => Promise<Uint8Array>;
  readonly #requests: Request[] = [];
  #isRunning = false;
  #isClosed = false;

  constructor(
    channel: Channel,
    limitBytes: number,
    read: (request: Request) => Promise<Uint8Array>,
  ) {
    this.#channel = channel;
    this.#limitBytes = limitBytes;
    this.#read = read;
  }

  get length(): number {
    return this.#requests.length;
  }

  push(request: Request): void {
    if (this.#requests.length >= LIMITS.blobRequests)
      throw new ProtocolError(`More than ${LIMITS.blobRequests} requests for chunks at a time.`);
    this.#requests.push(request);
    if (!this.#isRunning) void this.#run();
  }

  close(): void {
    this.#isClosed = true;
    this.#requests.length = 0;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#requests.length > 0) {
      await this.#channel.drained(this.#limitBytes);
      const request = this.#requests.shift();
      if (request !== undefined && !this.#isClosed) await this.#answer(request);
    }
    this.#isRunning = false;
  }

  async #answer(request: Request): Promise<void> {
    try {
      const chunk = await this.#read(request);
      this.#channel.send([RECORD.blobChunk, request.call, crc32(chunk)], [chunk]);
    } catch (error) {
      this.#channel.send([RECORD.failure, request.call, encodeError(error)]);
    }
  }
}

function requestFrom(record: ChannelRecord): Request {
  const [, call, id, offset, bytes, slot] = record;
  const blobId = parseId('blob', id);
  if (!isCount(call) || blobId === undefined || !isCount(offset) || !isCount(bytes))
    throw new ProtocolError('A malformed request for a chunk.');
  if (bytes === 0 || bytes > LIMITS.blobChunkBytes)
    throw new ProtocolError(`A request for a chunk of ${bytes} bytes.`);
  return { call, blobId, offset, bytes, slot: slot === null ? undefined : slotFrom(slot) };
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
