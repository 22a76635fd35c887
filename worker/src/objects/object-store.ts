import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import { attachmentRecord } from '@manta/runtime/core/store-attachment';
import { ObjectLostError, ObjectStoreFullError, ProtocolError } from '@manta/runtime/errors/errors';
import type { BlobId, NodeId, ProcessId } from '@manta/runtime/ids';
import {
  blobFrom,
  slotRecord,
  type BlobDescriptor,
  type SlotAddress,
} from '@manta/runtime/objects/blob';
import type { ChunkRequest } from '@manta/runtime/objects/chunks';
import { addressFrom } from '@manta/runtime/rpc/address-record';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { callFrom, countFrom } from '@manta/runtime/rpc/record-fields';
import { RECORD } from '@manta/runtime/rpc/records';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { AgentLogger } from '../agent/agent-logger.ts';
import { BlobTable, type Freed } from './blob-table.ts';
import { DiskCopies } from './disk-copies.ts';
import { DurableObjects } from './durable-objects.ts';
import { EarlyReleases } from './early-releases.ts';
import { OwnerWatch } from './owner-watch.ts';
import { RoomMaker } from './room-maker.ts';
import { SpillFailedError } from './spill-errors.ts';
import { SpillFiles } from './spill-files.ts';
import type { SpillStorage } from './spill-storage.ts';
import { StoreAnswers } from './store-answers.ts';
import type { SlotSource, StoreMemory } from './store-memory.ts';
import { StoreProcesses } from './store-processes.ts';
import { blobIdsFrom, keptFrom } from './store-records.ts';
import { storeReport, type StoreQuery, type StoreReport } from './store-report.ts';
import { fullText, type StoreUsage } from './store-usage.ts';
import { UnneededCopies } from './unneeded-copies.ts';

/** Free segments are at hand for what is pulled next; when nothing was freed for so long they are given back. */
const TRIM_AFTER_MS = 5_000;

export interface ObjectStoreOptions {
  clock: Clock;
  logger: AgentLogger;
  /** This agent as others reach it, with its node's id. */
  readonly agent: () => ProcessAddress;
  readonly nodeId: () => NodeId;
  memory: StoreMemory;
  slots: SlotSource;
  spillStorage: SpillStorage;
  spillDirectories: readonly string[];
  /** See SpillFilesOptions. */
  spillFreeBytesMin?: number | undefined;
  readonly connect: (address: ProcessAddress) => Promise<PeerConnection>;
  /** See OwnerWatch. */
  ownerRetryPausesMs?: readonly number[];
  /** Brings a blob of another node here. `reason`: why this node's own copy is none any more. @throws ObjectLostError OwnerDiedError ObjectStoreFullError */
  readonly pull: (
    blob: BlobDescriptor,
    owner: ProcessAddress,
    reason?: string,
  ) => Promise<SlotAddress>;
}

/**
 * The object store of a node, as its agent manages it: tells processes where it is, makes room by moving blobs to disk,
 * brings them back, takes over what dead processes leave, and frees what nobody owns any more.
 */
export class ObjectStore {
  readonly #options: ObjectStoreOptions;
  readonly #table = new BlobTable();
  readonly #processes: StoreProcesses;
  readonly #files: SpillFiles;
  readonly #room: RoomMaker;
  readonly #disk: DiskCopies;
  readonly #owners: OwnerWatch;
  readonly #durable: DurableObjects;
  readonly #answers: StoreAnswers;
  readonly #earlyReleases = new EarlyReleases();
  #cancelTrim: (() => void) | undefined;
  #spilledBytes = 0;
  #closed = false;

  constructor(options: ObjectStoreOptions) {
    const { clock, logger, memory, slots, connect } = options;
    this.#options = options;
    this.#answers = new StoreAnswers(logger);
    this.#processes = new StoreProcesses(clock);
    this.#files = new SpillFiles({
      storage: options.spillStorage,
      directories: options.spillDirectories,
      freeBytesMin: options.spillFreeBytesMin,
      onWritten: (bytes) => {
        this.#spilledBytes += bytes;
      },
      onFailure: ({ directory, error }) =>
        logger.warn({ directory, error: String(error) }, 'spilling objects to disk failed'),
      onRoom: (directory) =>
        logger.info({ directory }, 'spilling goes on: there is room on disk again'),
    });
    const unneeded = new UnneededCopies({
      table: this.#table,
      connect,
      free: (freed) => this.#free(freed),
    });
    this.#room = new RoomMaker({
      clock,
      logger,
      memory,
      slots,
      files: this.#files,
      table: this.#table,
      processes: this.#processes,
      freeCopies: (copies) => unneeded.free(copies),
      describe: (bytes, tooLarge, disk) =>
        fullText({ ...this.usage(), nodeId: options.nodeId() }, bytes, tooLarge, disk?.message),
    });
    this.#disk = new DiskCopies({
      clock,
      logger,
      memory,
      table: this.#table,
      files: this.#files,
      room: this.#room,
      free: (freed) => this.#free(freed),
    });
    this.#owners = new OwnerWatch({
      clock,
      connect,
      retryPausesMs: options.ownerRetryPausesMs,
      onDied: (owner) => this.#free(this.#table.ownerDied(owner)),
    });
    this.#durable = new DurableObjects({
      clock,
      agent: () => options.agent(),
      connect,
      save: (blobId) => this.#save(blobId),
      has: (blobId) => this.#table.get(blobId) !== undefined,
      release: (blobIds) => this.#release(blobIds),
      answer: (channel, call, answer) => this.#answers.answer(channel, call, answer),
    });
  }

  /** @throws ObjectLostError ObjectStoreFullError */
  async #save(blobId: BlobId): Promise<void> {
    const entry = this.#table.get(blobId);
    if (entry !== undefined) {
      try {
        await this.#room.save(entry);
      } catch (error) {
        if (!(error instanceof SpillFailedError)) throw error;
        const text = `A durable object could not be written to disk: ${error.message}.`;
        throw new ObjectStoreFullError(text, { cause: error });
      }
    }
    if (entry?.spilled === undefined)
      throw new ObjectLostError(`Blob ${blobId} was gone before it was on disk.`);
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    switch (record[0]) {
      case RECORD.storeAttach:
        this.#attach(channel, callFrom(record[1]));
        return true;
      case RECORD.storeNeed:
        this.#need(channel, callFrom(record[1]), countFrom(record[2], 'size'));
        return true;
      case RECORD.storeLocate: {
        const [, call, blob, owner] = record;
        this.#locateFor(channel, callFrom(call), blobFrom(blob), addressFrom(owner));
        return true;
      }
      case RECORD.storeRelease:
        this.#release(blobIdsFrom(record[2]));
        channel.send([RECORD.result, callFrom(record[1]), null]);
        return true;
      case RECORD.storeKeep:
        this.#keep(channel.peer.processId, record[1]);
        return true;
      default:
        return this.#processes.receive(channel, record) || this.#durable.receive(channel, record);
    }
  }

  /** A host, one of its threads, or a driver of this node is gone. */
  processEnded(processId: ProcessId): void {
    if (this.#closed) return;
    this.#room.processEnded(processId);
    const { memory } = this.#options;
    const owned = this.#table.ownerDied(processId);
    const kept = new Set(this.#table.holderDied(processId).map(keyOf));
    for (const segmentId of memory.adopt(processId)) {
      const slots = [...memory.liveSlots(segmentId)].map(({ slot }) => slot);
      memory.release(slots.filter((slot) => !kept.has(keyOf(slot))));
    }
    this.#free(owned);
    memory.trim();
  }

  /** For a pull: resolves when there may be room. @throws ObjectStoreFullError */
  makeRoom(bytes: number): Promise<void> {
    return this.#room.make(bytes);
  }

  /** For a pull: the blob is here, in a slot of the agent. */
  pulled(blob: BlobDescriptor, slot: SlotAddress, owner: ProcessAddress): void {
    const { blobId, sizeBytes } = blob;
    const lastUsedMs = this.#options.clock.now();
    const entry = this.#table.add({
      blobId,
      sizeBytes,
      owner: owner.processId,
      ownerAddress: owner,
      slot,
      holder: undefined,
      isCopy: true,
      spilled: undefined,
      lastUsedMs,
    });
    if (entry.slot !== slot) this.#options.memory.release([slot]);
    this.#watch(owner);
  }

  /** Fills `target` for another node; false: not here. */
  async read(request: ChunkRequest, target: Uint8Array): Promise<boolean> {
    const { blobId, offset, bytes } = request;
    const { slots, clock } = this.#options;
    const entry = this.#table.get(blobId);
    const slot = entry === undefined ? request.slot : entry.slot;
    if (entry !== undefined) {
      if (offset + bytes > entry.sizeBytes) return false;
      entry.lastUsedMs = clock.now();
    }
    if (slot !== undefined && (await slots.copyOut(slot, offset, target))) return true;
    // It may have been moved while it was copied.
    const current = this.#table.get(blobId);
    return current !== undefined && this.#disk.read(current, offset, target);
  }

  usage(): StoreUsage {
    const { memory } = this.#options;
    return {
      limitBytes: memory.limitBytes,
      usedBytes: memory.usedBytes,
      diskBytes: this.#files.spilledBytes,
      spilledBytes: this.#spilledBytes,
      restoredBytes: this.#disk.restoredBytes,
      evictions: this.#room.evictions,
      liveBytes: this.#room.liveBytes,
    };
  }

  /** For who asks what fills the store. */
  report(query: StoreQuery): StoreReport & { spillFiles: number } {
    const durable = this.#durable.entries();
    const report = storeReport(this.#table.entries(), durable, query);
    return { ...report, spillFiles: this.#files.fileCount };
  }

  /** Removes everything, from memory and from disk. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#room.close();
    this.#owners.close();
    this.#cancelTrim?.();
    await this.#options.slots.close();
    this.#options.memory.close({ removeSegments: true });
  }

  #attach(channel: Channel, call: number): void {
    const { agent, nodeId, memory } = this.#options;
    const { role, processId } = channel.peer;
    if (role === 'agent')
      throw new ProtocolError('An agent that attaches to the store of another.');
    this.#processes.attach(channel);
    this.#owners.unwatch(processId);
    // Its end may have been told before something came that is kept for it.
    channel.onClose(() => {
      const owner = this.#table.addressOf(processId);
      if (owner !== undefined && !this.#closed) this.#watch(owner);
    });
    const { directory, limitBytes } = memory;
    const attachment = { directory, nodeId: nodeId(), limitBytes, agent: agent() };
    channel.send([RECORD.result, call, attachmentRecord(attachment)]);
  }

  #need(channel: Channel, call: number, bytes: number): void {
    const { processId } = channel.peer;
    this.#answers.answer(channel, call, async () => {
      await this.#room.make(bytes, processId);
      return null;
    });
  }

  #locateFor(channel: Channel, call: number, blob: BlobDescriptor, owner: ProcessAddress): void {
    this.#answers.answer(channel, call, async () => slotRecord(await this.locate(blob, owner)));
  }

  /** @throws ObjectLostError OwnerDiedError ObjectStoreFullError */
  async locate(blob: BlobDescriptor, owner: ProcessAddress): Promise<SlotAddress> {
    const { slots, clock, nodeId, pull } = this.#options;
    const entry = this.#table.get(blob.blobId);
    if (entry !== undefined) {
      entry.lastUsedMs = clock.now();
      if (entry.slot !== undefined && (await slots.isCurrent(entry.slot))) return entry.slot;
      try {
        const restored = await this.#disk.restore(entry);
        if (restored !== undefined) return restored;
      } catch (error) {
        if (!(error instanceof ObjectLostError)) throw error;
        return pull(blob, owner, error.message);
      }
    } else if (blob.slot !== undefined && blob.agent.nodeId === nodeId()) {
      if (await slots.isCurrent(blob.slot)) return blob.slot;
    }
    return pull(blob, owner);
  }

  #keep(holder: ProcessId, value: unknown): void {
    const { clock } = this.#options;
    for (const { blob, owner } of keptFrom(value)) {
      const { blobId, sizeBytes, slot } = blob;
      if (slot === undefined) throw new ProtocolError('A blob is kept, but nowhere.');
      if (this.#earlyReleases.take(blobId)) {
        this.#processes.tell(holder, [RECORD.storeRelease, null, [blobId]]);
        continue;
      }
      this.#table.add({
        blobId,
        sizeBytes,
        owner: owner.processId,
        ownerAddress: owner,
        slot,
        holder,
        isCopy: false,
        spilled: undefined,
        lastUsedMs: clock.now(),
      });
      this.#watch(owner);
    }
  }

  #release(blobIds: readonly BlobId[]): void {
    const released = this.#table.release(blobIds);
    this.#free(released);
    this.#earlyReleases.add(released.unknown, this.#options.clock.now());
  }

  #free({ slots, spilled, byHolder, owners }: Freed): void {
    if (this.#closed) return;
    if (slots.length > 0) {
      this.#options.memory.release(slots);
      this.#trimLater();
    }
    for (const location of spilled) void this.#files.free(location);
    for (const [holder, blobIds] of byHolder)
      this.#processes.tell(holder, [RECORD.storeRelease, null, blobIds]);
    for (const owner of owners) this.#owners.unwatch(owner);
  }

  /** What lies in the segments of dead processes may be freed last of all, when nobody wants room any more. */
  #trimLater(): void {
    this.#cancelTrim?.();
    const { clock, memory } = this.#options;
    this.#cancelTrim = clock.after(TRIM_AFTER_MS, () => void memory.trim(), { unref: true });
  }

  /**
   * Whoever something is kept for is either attached, so that its death is told by those who started or linked it, or
   * watched.
   */
  #watch(owner: ProcessAddress): void {
    const isSelf = owner.processId === this.#options.agent().processId;
    if (!isSelf && !this.#processes.has(owner.processId)) this.#owners.watch(owner);
  }
}

const keyOf = ({ segmentId, offset, generation }: SlotAddress): string =>
  `${segmentId}/${offset}/${generation}`;
