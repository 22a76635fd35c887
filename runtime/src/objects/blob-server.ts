import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ObjectLostError, ProtocolError } from '../errors/errors.ts';
import { parseId } from '../ids.ts';
import { RECORD } from '../rpc/records.ts';
import { encodeError } from '../serialization/error-codec.ts';
import { LIMITS } from '../wire/limits.ts';
import { slotFrom } from './blob.ts';
import { ChunkChecksums, ChunkMemory, type ChunkRequest } from './chunks.ts';

/** Where blobs are read from: a node's shared memory or disk, or the heap of a process. */
export interface BlobReader {
  /** Fills `target`, which is as long as what was asked for. False: not here (any more), or not so long. */
  read(request: ChunkRequest, target: Uint8Array): boolean | Promise<boolean>;
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
/** Reading goes on, on another thread, while what was read is summed up and sent. */
const READS_AT_A_TIME = 2;

/** Answers requests for chunks (record blobPull). */
export class BlobServer {
  readonly #reader: BlobReader;
  readonly #bytesPerPeer: number;
  readonly #peers = new Map<Channel, PeerQueue>();
  readonly #memory = new ChunkMemory();
  readonly #checksums = new ChunkChecksums();
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
      queue = new PeerQueue({
        channel,
        limitBytes: this.#bytesPerPeer,
        memory: this.#memory,
        read: (request, target) => this.#read(request, target),
        checksums: this.#checksums,
      });
      this.#peers.set(channel, queue);
      channel.onClose(() => {
        this.#peers.get(channel)?.close();
        this.#peers.delete(channel);
      });
    }
    return queue;
  }

  async #read(request: ChunkRequest, target: Uint8Array): Promise<void> {
    const { bytes } = request;
    if (!(await this.#reader.read(request, target)))
      throw new ObjectLostError('it is not there (any more)');
    this.#servedBytes += bytes;
    this.#servedChunks += 1;
  }
}

interface PeerQueueOptions {
  channel: Channel;
  limitBytes: number;
  memory: ChunkMemory;
  read(request: ChunkRequest, target: Uint8Array): Promise<void>;
  checksums: ChunkChecksums;
}

/** The requests of one peer, answered in order; the next is read when enough of the answers have left. */
class PeerQueue {
  readonly #options: PeerQueueOptions;
  readonly #requests: Request[] = [];
  #reading = 0;
  /** Read, or being read, and not sent yet. */
  #heldBytes = 0;
  #lastAnswer: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: PeerQueueOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#requests.length;
  }

  push(request: Request): void {
    if (this.#requests.length + this.#reading >= LIMITS.blobRequests)
      throw new ProtocolError(`More than ${LIMITS.blobRequests} requests for chunks at a time.`);
    this.#requests.push(request);
    this.#readOn();
  }

  close(): void {
    this.#isClosed = true;
    this.#requests.length = 0;
  }

  #readOn(): void {
    while (this.#reading < READS_AT_A_TIME) {
      const request = this.#requests[0];
      if (request === undefined) return;
      const heldBytes = this.#heldBytes + request.bytes;
      if (this.#heldBytes > 0 && heldBytes > this.#options.limitBytes) return;
      this.#requests.shift();
      this.#heldBytes = heldBytes;
      this.#reading += 1;
      const chunk = this.#options.memory.take(request.bytes);
      const read = this.#options.read(request, chunk).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      this.#lastAnswer = this.#answer(this.#lastAnswer, { request, chunk, read });
    }
  }

  async #answer(
    before: Promise<void>,
    {
      request,
      chunk,
      read,
    }: { request: Request; chunk: Uint8Array; read: Promise<{ error: unknown } | undefined> },
  ): Promise<void> {
    await before;
    const failure = await read;
    this.#reading -= 1;
    if (this.#isClosed) return;
    const { channel, checksums } = this.#options;
    if (failure === undefined) {
      const record = [RECORD.blobChunk, request.call, checksums.of(request, chunk)];
      channel.send(record, [chunk], () => this.#letGo(chunk));
      this.#readOn();
    } else {
      channel.send([RECORD.failure, request.call, encodeError(failure.error)]);
      this.#letGo(chunk);
    }
  }

  #letGo(chunk: Uint8Array): void {
    this.#heldBytes -= chunk.byteLength;
    this.#options.memory.give(chunk);
    this.#readOn();
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
