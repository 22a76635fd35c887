import { assert } from '../assert.ts';
import type { ChannelRecord } from '../channel/channel.ts';
import { ClusterUnavailableError, ObjectStoreFullError } from '../errors/errors.ts';
import type { BlobId, ObjectId, ProcessId } from '../ids.ts';
import { blobRecord, slotFrom, type BlobDescriptor, type SlotAddress } from '../objects/blob.ts';
import { joinParts } from '../serialization/value-parts.ts';
import type { StoredValue } from '../objects/stored-value.ts';
import { addressRecord } from '../rpc/address-record.ts';
import { ask, isConnectionLost } from '../rpc/ask.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { SharedStore } from '../shared-memory/shared-store.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { BlobLocator } from './blob-locator.ts';
import { BlobReleases } from './blob-releases.ts';
import type { OpenedBytes, ProcessStore, ProcessStoreStatistics } from './process-store.ts';
import { ProducedBlobs } from './produced-blobs.ts';
import { RoomQueue, type PendingBlob, type WaitingBytes } from './room-queue.ts';
import { attachmentFrom, type StorePlace } from './store-attachment.ts';
import { answerAgent } from './store-answers.ts';
import { StoreGarbage } from './store-garbage.ts';

export interface NodeStoreOptions {
  clock: Clock;
  processId: ProcessId;
  mintBlobId(): BlobId;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  collectGarbage(): Promise<void>;
  /** This process holds bytes of the store that it did not hold before. */
  noteHeld(): void;
  /** One more / one fewer value waits for room: keeps the process alive meanwhile. */
  callStarted(): void;
  callFinished(): void;
  warn(message: string, error: unknown): void;
}

/** The store as this process has it open. */
interface Opened {
  readonly place: StorePlace;
  readonly agent: ProcessAddress;
  readonly store: ProcessStore;
  readonly produced: ProducedBlobs;
  /** Once the agent knows that this process is attached. */
  connection: PeerConnection | undefined;
}

interface Attached extends Opened {
  connection: PeerConnection;
}

/** Values that wait for room are in the heap: at most so many bytes of them, or the store's limit if that is more. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;
/** The first two without the agent, which then says each time that there may be room; others may be quicker. */
const ROOM_ATTEMPTS = 22;

/**
 * This process's share in the store of its node, opened when it is first needed: at once where its place is known, else
 * when the agent has told it. The agent learns of it meanwhile.
 *
 *             (1) useAgent               (2) first use, place known           (3) agent knows
 *     without ────────────▶ available ──────────────────────────▶ opened ───────────────────▶ attached
 *        ▲                      └────────── (4) place told by the agent ──────────────────────▶  │
 *        └──────────────────────────── (5) refused, or agent lost ───────────────────────────────┘
 *
 * Without a store values live in the heap and travel in messages.
 */
export class NodeStore {
  readonly #options: NodeStoreOptions;
  readonly #room: RoomQueue;
  #agent: ProcessAddress | undefined;
  #place: StorePlace | undefined;
  #opened: Opened | undefined;
  #attaching: Promise<Attached> | undefined;
  /** The agent is being asked to make room: who waits for it comes first. */
  #isShort = false;
  readonly #garbage: StoreGarbage;
  readonly #locator = new BlobLocator((blob, owner) => this.#askForSlot(blob, owner));
  readonly #releases: BlobReleases;

  constructor(options: NodeStoreOptions) {
    this.#options = options;
    this.#releases = new BlobReleases(options.clock, (agent) => options.connect(agent));
    this.#garbage = new StoreGarbage(() => options.collectGarbage());
    this.#room = new RoomQueue({
      store: (entry) => this.#storeWaiting(entry),
      callStarted: () => options.callStarted(),
      callFinished: () => options.callFinished(),
    });
  }

  /** The agent whose store this process may use. `place`: where the store is, so that it can be opened without asking. */
  useAgent(agent: ProcessAddress | undefined, place?: StorePlace): void {
    this.#agent = agent;
    this.#place = place;
  }

  get agent(): ProcessAddress | undefined {
    return this.#agent;
  }

  get isAvailable(): boolean {
    return this.#agent !== undefined;
  }

  /** Bytes of the store that this process keeps from being used again. */
  get heldBytes(): number {
    return this.#opened?.store.heldBytes ?? 0;
  }

  /** Bytes of values that wait for room. */
  get waitingBytes(): number {
    return this.#room.waitingBytes;
  }

  statistics(): ProcessStoreStatistics | undefined {
    return this.#opened?.store.statistics();
  }

  /** @throws MantaError when the agent cannot be reached, or the store not be opened. */
  async attach(): Promise<void> {
    await this.#whenAttached();
  }

  #whenAttached(): Promise<Attached> {
    const opened = this.#opened;
    if (isAttached(opened)) return Promise.resolve(opened);
    this.#attaching ??= this.#attach().finally(() => {
      this.#attaching = undefined;
    });
    return this.#attaching;
  }

  async #attach(): Promise<Attached> {
    const agent = this.#agent;
    if (agent === undefined)
      throw new ClusterUnavailableError('This process has no node, and so no object store.');
    try {
      const connection = await this.#options.connect(agent);
      const told = attachmentFrom(await ask(connection, RECORD.storeAttach));
      const opened = this.#opened ?? this.#openAt(told, told.agent);
      // Another store: what was written to the former is nobody's any more.
      if (opened.place.directory !== told.directory)
        throw new ClusterUnavailableError('The object store of this node was made anew.');
      const attached = Object.assign(opened, { connection });
      this.#listen(attached);
      return attached;
    } catch (error) {
      if (this.#agent === agent && this.#opened !== undefined) this.#leave();
      throw error;
    }
  }

  /** Undefined: the agent has to be asked first. */
  #open(): Opened | undefined {
    if (this.#opened !== undefined) return this.#opened;
    const [agent, place] = [this.#agent, this.#place];
    if (agent === undefined || place === undefined) return undefined;
    // When that fails, what the agent says is tried once more, and it is said why.
    this.#place = undefined;
    try {
      this.#openAt(place, agent);
    } catch (error) {
      this.#options.warn('the object store of this node could not be opened at once', error);
    }
    this.#whenAttached().catch((error: unknown) =>
      this.#options.warn('the object store of this node cannot be used', error),
    );
    return this.#opened;
  }

  #openAt(place: StorePlace, agent: ProcessAddress): Opened {
    const { processId, clock } = this.#options;
    const store = SharedStore.attach({ directory: place.directory, processId, clock });
    const produced = new ProducedBlobs(store);
    this.#opened = { place, agent, store, produced, connection: undefined };
    return this.#opened;
  }

  #listen(attached: Attached): void {
    const { connection } = attached;
    connection.onRequest((record) => this.#answer(attached, record));
    connection.onLost(() => this.#agentLost(attached, connection));
  }

  #answer(attached: Attached, record: ChannelRecord): void {
    const collectGarbage = (): Promise<void> => this.#options.collectGarbage();
    answerAgent({ ...attached, collectGarbage }, record).catch((error: unknown) =>
      this.#options.warn('a question of the node could not be answered', error),
    );
  }

  /** The connection broke, or the agent is gone: the one who comes back to the same store goes on. */
  #agentLost(attached: Opened, connection: PeerConnection): void {
    if (this.#opened !== attached || attached.connection !== connection) return;
    attached.connection = undefined;
    // A failure was seen to: this process has no store then.
    this.#whenAttached().catch(() => undefined);
  }

  /** Views that exist stay valid; the segments belong to nobody any more. */
  #leave(): void {
    this.#opened = undefined;
    this.useAgent(undefined);
  }

  // ── storing ──────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Copies the parts into shared memory, when there is room now; else the bytes are kept in the heap until there is.
   * `owner`: when the blob will not be this process's own; the agent is told before anybody else.
   * @throws ObjectStoreFullError at once when too much waits already; by rejection when the agent finds no room.
   */
  write(
    parts: readonly Uint8Array[],
    sizeBytes: number,
    owner?: ProcessAddress,
  ): BlobDescriptor | PendingBlob {
    // Who waits for room comes first, also where there is some for this one.
    const mustWait = this.#isShort || this.#room.waitingBytes > 0;
    const opened = mustWait ? undefined : this.#open();
    const blob = opened && this.#writeNow(opened, parts, sizeBytes);
    if (opened !== undefined && blob !== undefined) {
      if (owner === undefined || this.#keep(opened, blob, owner)) return blob;
      return {
        blob: this.#keepLater(opened, blob, owner),
        bytes: undefined,
        giveUp: () => undefined,
      };
    }
    const limitBytes = Math.max(WAITING_BYTES_MAX, this.#opened?.store.limitBytes ?? 0);
    return this.#room.add(joinParts(parts, sizeBytes), owner, limitBytes);
  }

  #writeNow(
    opened: Opened,
    parts: readonly Uint8Array[],
    sizeBytes: number,
  ): BlobDescriptor | undefined {
    const { agent, store, produced } = opened;
    produced.flush();
    const slot = store.write(parts, sizeBytes);
    if (slot === undefined) return undefined;
    const blob: BlobDescriptor = { blobId: this.#options.mintBlobId(), sizeBytes, agent, slot };
    produced.add(blob.blobId, slot, sizeBytes, this.#options.clock.now());
    this.#noteHeld(opened.store);
    return blob;
  }

  /** False: the agent does not know this process yet. */
  #keep(opened: Opened, blob: BlobDescriptor, owner: ProcessAddress): boolean {
    opened.connection?.channel.send([RECORD.storeKeep, [[blobRecord(blob), addressRecord(owner)]]]);
    return opened.connection !== undefined;
  }

  async #keepLater(
    opened: Opened,
    blob: BlobDescriptor,
    owner: ProcessAddress,
  ): Promise<BlobDescriptor> {
    this.#options.callStarted();
    try {
      const attached = await this.#whenAttached();
      this.#keep(attached, blob, owner);
      return blob;
    } catch (error) {
      opened.produced.release([blob.blobId]);
      throw error;
    } finally {
      this.#options.callFinished();
    }
  }

  /** The agent becomes the owner of this object and has it on disk when this resolves. */
  async keepDurable(objectId: ObjectId, bytes: Uint8Array): Promise<void> {
    const written = this.write([bytes], bytes.byteLength, this.#agent);
    const blob = 'giveUp' in written ? await written.blob : written;
    assert(blob !== undefined, 'a durable object is not given up');
    const { connection } = await this.#whenAttached();
    await ask(connection, RECORD.storeDurable, objectId, blobRecord(blob));
  }

  async #storeWaiting(entry: WaitingBytes): Promise<BlobDescriptor | undefined> {
    try {
      return await this.#makeRoomFor(entry);
    } finally {
      this.#isShort = false;
    }
  }

  async #makeRoomFor(entry: WaitingBytes): Promise<BlobDescriptor | undefined> {
    const { bytes, owner } = entry;
    const size = bytes.byteLength;
    for (let attempt = 0; attempt < ROOM_ATTEMPTS; attempt += 1) {
      if (attempt === 1) await this.#collectForRoom();
      else if (attempt > 1) await this.#askForRoom(size);
      if (entry.isGivenUp) return undefined;
      const attached = await this.#whenAttached();
      const blob = this.#writeNow(attached, [bytes], size);
      if (blob === undefined) continue;
      if (owner !== undefined) this.#keep(attached, blob, owner);
      return blob;
    }
    throw new ObjectStoreFullError(
      `No room for ${size} bytes in the object store of this node: others took what was freed. Try again later.`,
    );
  }

  async #collectForRoom(): Promise<void> {
    this.#isShort = true;
    await this.#options.collectGarbage();
    this.#opened?.store.sweep();
  }

  /** Whether an agent that does not answer is back, the next attempt finds out. */
  async #askForRoom(sizeBytes: number): Promise<void> {
    const { connection } = await this.#whenAttached();
    try {
      await ask(connection, RECORD.storeNeed, sizeBytes);
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
    }
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
    // What only puts and reads may never come to the end of a turn of its own, and nothing would be let go of.
    if (slot === undefined || this.#garbage.collecting !== undefined) return undefined;
    const opened = this.#open();
    if (opened === undefined) return undefined;
    const bytes = opened.store.open(slot, blob.sizeBytes);
    if (bytes === undefined) stored.slot = undefined;
    else {
      opened.produced.used(blob.blobId, this.#options.clock.now());
      this.#noteHeld(opened.store);
    }
    return bytes;
  }

  /**
   * Has the blob brought into this node's memory; `open` is then worth another try.
   * @throws ObjectLostError, OwnerDiedError, ObjectFreedError, ObjectStoreFullError
   */
  async locate(stored: StoredValue, owner: ProcessAddress): Promise<void> {
    await this.#whenAttached();
    await this.#garbage.collecting;
    // Only now could it be opened where its descriptor says.
    if (stored.slot === undefined) stored.slot = await this.#locator.locate(stored.blob, owner);
  }

  async #askForSlot(blob: BlobDescriptor, owner: ProcessAddress): Promise<SlotAddress> {
    const { connection } = await this.#whenAttached();
    const fields = [blobRecord(blob), addressRecord(owner)];
    return slotFrom(await ask(connection, RECORD.storeLocate, ...fields));
  }

  #noteHeld(store: ProcessStore): void {
    this.#garbage.look(store);
    this.#options.noteHeld();
  }

  // ── letting go ───────────────────────────────────────────────────────────────────────────────────────────
  /** The owner's blob is not needed any more; `copies`: agents that may have it, beside its producer. */
  release(blob: BlobDescriptor, copies: readonly ProcessAddress[]): void {
    const isOwn = this.#opened?.produced.release([blob.blobId]).length === 1;
    const agents = isOwn ? copies : [blob.agent, ...copies];
    for (const agent of agents) {
      const isHere = agent.processId === this.#options.processId;
      if (isHere || (isOwn && agent.processId === blob.agent.processId)) continue;
      this.releaseAt(agent, blob.blobId);
    }
  }

  /** The same of one agent's copy. */
  releaseAt(agent: ProcessAddress, blobId: BlobId): void {
    this.#releases.add(agent, blobId);
  }

  flushReleases(): void {
    this.#releases.flush();
  }

  close(): void {
    const opened = this.#opened;
    this.#leave();
    opened?.store.close();
  }
}

const isAttached = (opened: Opened | undefined): opened is Attached =>
  opened?.connection !== undefined;
