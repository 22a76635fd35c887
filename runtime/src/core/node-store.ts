import type { ChannelRecord } from '../channel/channel.ts';
import {
  ClusterUnavailableError,
  ObjectStoreFullError,
  type MantaError,
} from '../errors/errors.ts';
import type { BlobId, ObjectId, ProcessId } from '../ids.ts';
import { blobRecord, slotFrom, type BlobDescriptor, type SlotAddress } from '../objects/blob.ts';
import type { StoredValue } from '../objects/stored-value.ts';
import { addressRecord } from '../rpc/address-record.ts';
import { ask } from '../rpc/ask.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { OpenedBytes, ProcessStore, ProcessStoreStatistics } from './process-store.ts';
import { ProducedBlobs } from './produced-blobs.ts';
import { attachmentFrom, type StoreAttachment } from './store-attachment.ts';
import { answerAgent } from './store-answers.ts';

export { attachmentRecord, type StoreAttachment } from './store-attachment.ts';

export interface NodeStoreOptions {
  clock: Clock;
  processId: ProcessId;
  mintBlobId(): BlobId;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  /** Default: the shared memory of the node (shared-memory/shared-store.ts). */
  openStore?(attachment: StoreAttachment): Promise<ProcessStore>;
  collectGarbage(): Promise<void>;
  /** For the agent's questions about this process's objects: encoded. */
  describe(): Uint8Array;
  /** One more / one fewer value waits for room: keeps the process alive meanwhile. */
  callStarted(): void;
  callFinished(): void;
  warn(message: string, error: unknown): void;
}

interface Attached {
  readonly attachment: StoreAttachment;
  readonly store: ProcessStore;
  readonly produced: ProducedBlobs;
  connection: PeerConnection;
}

interface WaitingBytes {
  readonly bytes: Uint8Array;
  readonly owner: ProcessAddress | undefined;
  resolve(blob: BlobDescriptor): void;
  reject(error: unknown): void;
}

/** Values that wait for room are in the heap: at most so many bytes of them, or the store's limit if that is more. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;
/** The agent says that there may be room; others may be quicker. */
const ROOM_ATTEMPTS = 20;
/**
 * After so many bytes stored (an eighth of the store, within these bounds) garbage is collected: refs that were dropped
 * hold memory that the engine does not feel, and used memory is faster than new.
 */
const COLLECT_BYTES_MIN = 64 * 1024 * 1024;
const COLLECT_BYTES_MAX = 512 * 1024 * 1024;
const RELEASE_DELAY_MS = 5;

/**
 * This process's share in the store of its node. The agent is asked to attach when the store is first needed.
 *
 *             (1) useAgent               (2) attached
 *     without ────────────▶ available ─────────────────▶ attached
 *        ▲                      ▲  └── (3) refused ──┐      │
 *        └──────────────────────┼────────────────────┘      │
 *                               └──── (4) agent lost ───────┘
 *
 * Without a store values live in the heap and travel in messages.
 */
export class NodeStore {
  readonly #options: NodeStoreOptions;
  #agent: ProcessAddress | undefined;
  #attached: Attached | undefined;
  #attaching: Promise<Attached> | undefined;
  #waiting: WaitingBytes[] = [];
  #waitingBytes = 0;
  #isPumping = false;
  #storedSinceCollection = 0;
  readonly #locating = new Map<BlobId, Promise<SlotAddress>>();
  readonly #releases = new Map<ProcessId, { agent: ProcessAddress; blobIds: BlobId[] }>();

  constructor(options: NodeStoreOptions) {
    this.#options = options;
  }

  /** The agent whose store this process may use. */
  useAgent(agent: ProcessAddress | undefined): void {
    this.#agent = agent;
  }

  get agent(): ProcessAddress | undefined {
    return this.#agent;
  }

  get isAvailable(): boolean {
    return this.#agent !== undefined;
  }

  /** Bytes of values that wait for room. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  statistics(): ProcessStoreStatistics | undefined {
    return this.#attached?.store.statistics();
  }

  /** @throws MantaError when the agent cannot be reached, or the store not be opened. */
  async attach(): Promise<void> {
    await this.#whenAttached();
  }

  #whenAttached(): Promise<Attached> {
    if (this.#attached !== undefined) return Promise.resolve(this.#attached);
    this.#attaching ??= this.#attach().finally(() => {
      this.#attaching = undefined;
    });
    return this.#attaching;
  }

  async #attach(): Promise<Attached> {
    const agent = this.#agent;
    if (agent === undefined)
      throw new ClusterUnavailableError('This process has no node, and so no object store.');
    const connection = await this.#options.connect(agent);
    const attachment = attachmentFrom(await ask(connection, RECORD.storeAttach));
    const store = await this.#openStore(attachment);
    const attached = { attachment, store, produced: new ProducedBlobs(store), connection };
    this.#attached = attached;
    this.#listen(attached);
    return attached;
  }

  async #openStore(attachment: StoreAttachment): Promise<ProcessStore> {
    const { openStore, processId, clock } = this.#options;
    if (openStore !== undefined) return openStore(attachment);
    const { SharedStore } = await import('../shared-memory/shared-store.ts');
    return SharedStore.attach({ directory: attachment.directory, processId, clock });
  }

  #listen(attached: Attached): void {
    const { connection } = attached;
    connection.onRequest((record) => this.#answer(attached, record));
    connection.onLost((reason) => void this.#agentLost(attached, reason));
  }

  #answer(attached: Attached, record: ChannelRecord): void {
    const { collectGarbage, describe } = this.#options;
    answerAgent({ ...attached, collectGarbage, describe }, record).catch((error: unknown) =>
      this.#options.warn('a question of the node could not be answered', error),
    );
  }

  /** The connection broke, or the agent is gone: the one who comes back to the same store goes on. */
  async #agentLost(attached: Attached, reason: MantaError): Promise<void> {
    if (this.#attached !== attached) return;
    try {
      attached.connection = await this.#options.connect(attached.attachment.agent);
      const again = attachmentFrom(await ask(attached.connection, RECORD.storeAttach));
      if (again.directory !== attached.attachment.directory) throw reason;
      this.#listen(attached);
    } catch {
      // Views that exist stay valid; the segments belong to nobody any more.
      if (this.#attached === attached) this.#attached = undefined;
      if (this.#agent === attached.attachment.agent) this.#agent = undefined;
    }
  }

  // ── storing ──────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Copies the parts into shared memory. Undefined: there is no room now, or this process is not attached yet.
   * `owner`: when the blob will not be this process's own; the agent is told before anybody else.
   */
  write(
    parts: readonly Uint8Array[],
    sizeBytes: number,
    owner?: ProcessAddress,
  ): BlobDescriptor | undefined {
    if (this.#attached === undefined || this.#waiting.length > 0) return undefined;
    return this.#write(this.#attached, parts, sizeBytes, owner);
  }

  #write(
    attached: Attached,
    parts: readonly Uint8Array[],
    sizeBytes: number,
    owner: ProcessAddress | undefined,
  ): BlobDescriptor | undefined {
    const slot = attached.store.write(parts, sizeBytes);
    if (slot === undefined) return undefined;
    const { agent } = attached.attachment;
    const blob: BlobDescriptor = { blobId: this.#options.mintBlobId(), sizeBytes, agent, slot };
    attached.produced.add(blob.blobId, slot, sizeBytes, this.#options.clock.now());
    if (owner !== undefined) {
      const kept = [[blobRecord(blob), addressRecord(owner)]];
      attached.connection.channel.send([RECORD.storeKeep, kept]);
    }
    this.#noteStored(attached, sizeBytes);
    return blob;
  }

  #noteStored({ store }: Attached, sizeBytes: number): void {
    this.#storedSinceCollection += sizeBytes;
    const share = Math.max(COLLECT_BYTES_MIN, Math.min(store.limitBytes / 8, COLLECT_BYTES_MAX));
    if (this.#storedSinceCollection < share) return;
    this.#storedSinceCollection = 0;
    setImmediate(() => void this.#options.collectGarbage().then(() => store.sweep()));
  }

  /**
   * For what `write` had no room for: the bytes are kept in the heap until there is. `bytes` must not change.
   * @throws ObjectStoreFullError at once when too much waits already; by rejection when the agent finds no room.
   */
  writeLater(bytes: Uint8Array, owner?: ProcessAddress): Promise<BlobDescriptor> {
    const sizeBytes = bytes.byteLength;
    const limit = Math.max(WAITING_BYTES_MAX, this.#attached?.store.limitBytes ?? 0);
    if (this.#waitingBytes > 0 && this.#waitingBytes + sizeBytes > limit) {
      throw new ObjectStoreFullError(
        `The object store of this node has no room, and values of ${this.#waitingBytes} bytes wait for it already. ` +
          'Await some of the refs before you put more, drop refs, or give the node a larger object store.',
      );
    }
    this.#waitingBytes += sizeBytes;
    this.#options.callStarted();
    const stored = new Promise<BlobDescriptor>((resolve, reject) => {
      this.#waiting.push({ bytes, owner, resolve, reject });
    });
    if (!this.#isPumping) void this.#pump();
    return stored;
  }

  /** The agent becomes the owner of this object and has it on disk when this resolves. */
  async keepDurable(objectId: ObjectId, bytes: Uint8Array): Promise<void> {
    const agent = this.#agent;
    const blob =
      this.write([bytes], bytes.byteLength, agent) ?? (await this.writeLater(bytes, agent));
    const { connection } = await this.#whenAttached();
    await ask(connection, RECORD.storeDurable, objectId, blobRecord(blob));
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    for (let entry = this.#waiting[0]; entry !== undefined; entry = this.#waiting[0]) {
      try {
        entry.resolve(await this.#store(entry));
      } catch (error) {
        entry.reject(error);
      }
      this.#waiting.shift();
      this.#waitingBytes -= entry.bytes.byteLength;
      this.#options.callFinished();
    }
    this.#isPumping = false;
  }

  async #store({ bytes, owner }: WaitingBytes): Promise<BlobDescriptor> {
    const size = bytes.byteLength;
    const attached = await this.#whenAttached();
    const tryWrite = (): BlobDescriptor | undefined => this.#write(attached, [bytes], size, owner);
    let blob = tryWrite();
    if (blob !== undefined) return blob;
    await this.#options.collectGarbage();
    attached.store.sweep();
    blob = tryWrite();
    for (let attempt = 0; blob === undefined && attempt < ROOM_ATTEMPTS; attempt += 1) {
      await ask(attached.connection, RECORD.storeNeed, size);
      blob = tryWrite();
    }
    if (blob !== undefined) return blob;
    throw new ObjectStoreFullError(
      `No room for ${size} bytes in the object store of this node: others took what was freed. Try again later.`,
    );
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────
  /** Where the blob lies for this process, as far as its descriptor says. */
  slotHint(blob: BlobDescriptor): SlotAddress | undefined {
    const nodeId = this.#agent?.nodeId;
    return nodeId !== undefined && blob.agent.nodeId === nodeId ? blob.slot : undefined;
  }

  /** The bytes, when they are in this node's memory where the value says; else ask `locate`. */
  open(stored: StoredValue): OpenedBytes | undefined {
    const { slot, blob } = stored;
    if (slot === undefined || this.#attached === undefined) return undefined;
    const opened = this.#attached.store.open(slot, blob.sizeBytes);
    if (opened === undefined) stored.slot = undefined;
    else this.#attached.produced.used(blob.blobId, this.#options.clock.now());
    return opened;
  }

  /**
   * Has the blob brought into this node's memory; `open` is then worth another try.
   * @throws ObjectLostError, OwnerDiedError, ObjectFreedError, ObjectStoreFullError
   */
  async locate(stored: StoredValue, owner: ProcessAddress): Promise<void> {
    const { connection } = await this.#whenAttached();
    // Only now could it be opened where its descriptor says.
    if (stored.slot !== undefined) return;
    const { blobId } = stored.blob;
    let locating = this.#locating.get(blobId);
    if (locating === undefined) {
      const fields = [blobRecord(stored.blob), addressRecord(owner)];
      locating = ask(connection, RECORD.storeLocate, ...fields).then(slotFrom);
      this.#locating.set(blobId, locating);
      const done = (): void => void this.#locating.delete(blobId);
      locating.then(done, done);
    }
    stored.slot = await locating;
  }

  get locatingCount(): number {
    return this.#locating.size;
  }

  // ── letting go ───────────────────────────────────────────────────────────────────────────────────────────
  /** The owner's blob is not needed any more; `copies`: agents that may have it, beside its producer. */
  release(blob: BlobDescriptor, copies: readonly ProcessAddress[]): void {
    const isOwn = this.#attached?.produced.release([blob.blobId]).length === 1;
    const agents = isOwn ? copies : [blob.agent, ...copies];
    for (const agent of agents) {
      if (isOwn && agent.processId === blob.agent.processId) continue;
      this.#releaseAt(agent, blob.blobId);
    }
  }

  #releaseAt(agent: ProcessAddress, blobId: BlobId): void {
    const batch = this.#releases.get(agent.processId);
    if (batch !== undefined) {
      if (!batch.blobIds.includes(blobId)) batch.blobIds.push(blobId);
      return;
    }
    this.#releases.set(agent.processId, { agent, blobIds: [blobId] });
    if (this.#releases.size === 1)
      this.#options.clock.after(RELEASE_DELAY_MS, () => this.flushReleases(), { unref: true });
  }

  flushReleases(): void {
    const batches = [...this.#releases.values()];
    this.#releases.clear();
    for (const { agent, blobIds } of batches) {
      this.#options.connect(agent).then(
        ({ channel }) => channel.send([RECORD.storeRelease, blobIds]),
        () => undefined, // The agent is gone, and what it kept with it.
      );
    }
  }

  close(): void {
    const attached = this.#attached;
    this.#attached = undefined;
    this.#agent = undefined;
    attached?.store.close();
  }
}
