import { ObjectStoreFullError } from '@manta/runtime/errors/errors';
import type { BlobId, ProcessId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import type { Clock } from '@manta/runtime/time/clock';
import type { AgentLogger } from '../agent/agent-logger.ts';
import type { BlobEntry, BlobTable } from './blob-table.ts';
import {
  createRoomState,
  stepRoom,
  type Need,
  type RoomEffect,
  type RoomEvent,
} from './room-state.ts';
import { SpillFailedError } from './spill-errors.ts';
import { SpillFiles, type SpillLocation, type SpillSource } from './spill-files.ts';
import type { Reservation, SlotSource, StoreMemory } from './store-memory.ts';
import type { StoreProcesses } from './store-processes.ts';
import { blobIdsFrom, offeredFrom, reclaimedFrom } from './store-records.ts';
import { chooseVictims, type Candidate } from './victims.ts';

export interface RoomMakerOptions {
  clock: Clock;
  logger: AgentLogger;
  memory: StoreMemory;
  slots: SlotSource;
  files: SpillFiles;
  table: BlobTable;
  processes: StoreProcesses;
  /** Frees those of which other nodes have copies; gives their bytes. */
  readonly freeCopies: (copies: readonly BlobEntry[]) => Promise<number>;
  readonly describe: (
    bytes: number,
    tooLarge: boolean,
    disk: SpillFailedError | undefined,
  ) => string;
}

const TICK_MS = 100;
/** A process whose loop is busy is gone on without. */
const ANSWER_TIMEOUT_MS = 1_000;
/** With so many bytes asked for at a time, few are left that are all pinned. */
const OFFER_BYTES_MIN = 64 * 1024 * 1024;

interface Waiter {
  resolve(): void;
  reject(error: ObjectStoreFullError): void;
}

/** Carries out what RoomState decides: asks processes to collect garbage, and moves blobs to disk. */
export class RoomMaker {
  readonly #options: RoomMakerOptions;
  readonly #state = createRoomState();
  readonly #waiting = new Map<number, Waiter>();
  readonly #liveBytes = new Map<ProcessId, number>();
  readonly #stopTicking: () => void;
  #nextId = 1;
  #evictions = 0;
  #closed = false;
  #diskFailure: SpillFailedError | undefined;

  constructor(options: RoomMakerOptions) {
    this.#options = options;
    this.#stopTicking = options.clock.every(TICK_MS, () => this.#step({ type: 'tick' }), {
      unref: true,
    });
  }

  /** Blobs that left memory so far. */
  get evictions(): number {
    return this.#evictions;
  }

  /** Bytes of blobs in the segments of each process, as it said last. */
  get liveBytes(): ReadonlyMap<ProcessId, number> {
    return this.#liveBytes;
  }

  /** Resolves when there may be room for `bytes`. @throws ObjectStoreFullError also when the process ends. */
  make(bytes: number, process?: ProcessId): Promise<void> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#step({ type: 'need', id, process, bytes });
    });
  }

  /** @throws ObjectStoreFullError */
  async reserve(bytes: number): Promise<Reservation> {
    for (;;) {
      const reservation = this.#options.memory.reserve(bytes);
      if (reservation !== undefined) return reservation;
      await this.make(bytes);
    }
  }

  /** Has a copy on disk, in memory or not. @throws SpillFailedError */
  async save(entry: BlobEntry): Promise<void> {
    const { slots, files, table } = this.#options;
    const { slot, sizeBytes } = entry;
    if (entry.spilled !== undefined || slot === undefined) return;
    const copyOut: SpillSource['copyOut'] = (offset, target) => slots.copyOut(slot, offset, target);
    const [location] = await files.write([{ sizeBytes, copyOut }]);
    if (location === undefined) return;
    // Freed, or moved to disk for want of room, meanwhile.
    if (table.get(entry.blobId) !== entry || entry.spilled !== undefined)
      await files.free(location);
    else entry.spilled = location;
  }

  processEnded(process: ProcessId): void {
    this.#liveBytes.delete(process);
    this.#step({ type: 'gone', process });
  }

  close(): void {
    this.#closed = true;
    this.#stopTicking();
    const error = new ObjectStoreFullError('The node is ending.');
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
  }

  #step(event: RoomEvent): void {
    if (this.#closed) return;
    const { memory, clock } = this.#options;
    for (const effect of stepRoom(this.#state, event, memory, clock.now())) this.#apply(effect);
  }

  #apply(effect: RoomEffect): void {
    switch (effect.type) {
      case 'answer':
        this.#take(effect.id)?.resolve();
        break;
      case 'refuse': {
        const { bytes, tooLarge } = effect;
        const text = this.#options.describe(bytes, tooLarge, this.#diskFailure);
        this.#take(effect.id)?.reject(new ObjectStoreFullError(text));
        break;
      }
      case 'forget':
        this.#take(effect.id)?.reject(new ObjectStoreFullError('Its process has ended.'));
        break;
      case 'reclaim':
        this.#work(this.#reclaim(effect.bytes, effect.need), (freed) => ({
          type: 'reclaimed',
          freedBytes: freed,
          liveBytes: sum(this.#liveBytes.values()) + this.#ownBytes(),
        }));
        break;
      case 'spill':
        this.#work(this.#spill(effect.bytes, effect.need), (freedBytes) => ({
          type: 'spilled',
          freedBytes,
        }));
        break;
    }
  }

  #take(id: number): Waiter | undefined {
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiter;
  }

  #work(work: Promise<number>, eventOf: (freedBytes: number) => RoomEvent): void {
    work.then(
      (freedBytes) => this.#step(eventOf(freedBytes)),
      (error: unknown) => {
        if (!this.#closed)
          this.#options.logger.error({ error: String(error) }, 'making room in the store failed');
        this.#step(eventOf(0));
      },
    );
  }

  /** Who needs the bytes keeps its free pages at first: it can use them at once. */
  async #reclaim(bytes: number, need: Need | undefined): Promise<number> {
    const { memory, processes, slots } = this.#options;
    memory.sweep();
    let freed = need?.process === undefined && need !== undefined ? 0 : memory.trim(bytes);
    const answers = processes.ids.map(async (process) => {
      const wanted = process === need?.process && need.attempt < 3 ? 0 : bytes;
      const answer = await processes.ask(process, RECORD.storeReclaim, wanted, ANSWER_TIMEOUT_MS);
      if (answer === undefined) return;
      const { givenBackBytes, liveBytes } = reclaimedFrom(answer);
      freed += givenBackBytes + Math.max(0, (this.#liveBytes.get(process) ?? 0) - liveBytes);
      this.#liveBytes.set(process, liveBytes);
    });
    await Promise.all(answers);
    await slots.sweep();
    return freed;
  }

  async #spill(bytes: number, need: Need | undefined): Promise<number> {
    const { clock } = this.#options;
    const candidates = await this.#candidates(Math.max(2 * bytes, OFFER_BYTES_MIN));
    const victims = chooseVictims(candidates, bytes, clock.now());
    this.#diskFailure = undefined;
    const copies = victims.filter(({ onDisk, isCopy }) => isCopy && !onDisk);
    let freed = await this.#evict(victims.filter(({ onDisk }) => onDisk));
    freed += await this.#freeCopies(copies);
    for (const batch of SpillFiles.batches(victims.filter(({ onDisk }) => !onDisk))) {
      const written = await this.#write(batch);
      if (written === undefined) break;
      freed += await this.#evict(written);
    }
    if (freed > 0) await this.#reclaim(bytes, need);
    return freed;
  }

  async #freeCopies(chosen: readonly Candidate[]): Promise<number> {
    const { table, freeCopies } = this.#options;
    const entries = chosen
      .map(({ blobId }) => table.get(blobId))
      .filter((copy) => copy !== undefined);
    if (entries.length === 0) return 0;
    const freeing = freeCopies(entries).finally(() => {
      for (const { blobId } of entries) if (table.get(blobId) === undefined) this.#evictions += 1;
    });
    return this.#inTime(freeing);
  }

  async #candidates(bytes: number): Promise<Candidate[]> {
    const { memory, table, processes } = this.#options;
    const found: Omit<Candidate, 'pinned'>[] = [];
    for (const entry of table.entries()) {
      const { blobId, slot, sizeBytes, holder, lastUsedMs, spilled, isCopy } = entry;
      if (slot === undefined || holder !== undefined) continue;
      const onDisk = spilled !== undefined;
      found.push({ blobId, slot, sizeBytes, holder, lastUsedMs, onDisk, isCopy });
    }
    const offers = processes.ids.map(async (holder) => {
      const answer = await processes.ask(holder, RECORD.storeCandidates, bytes, ANSWER_TIMEOUT_MS);
      for (const offer of answer === undefined ? [] : offeredFrom(answer)) {
        const onDisk = table.get(offer.blobId)?.spilled !== undefined;
        found.push({ ...offer, holder, onDisk, isCopy: false });
      }
    });
    await Promise.all(offers);
    const pinned = memory.pinned(found.map(({ slot }) => slot));
    return found.map((candidate, index) => ({ ...candidate, pinned: pinned[index] === true }));
  }

  /** Those that are on disk now; undefined: no disk took them. */
  async #write(chosen: readonly Candidate[]): Promise<Candidate[] | undefined> {
    const { table, files, slots } = this.#options;
    // Others may have been freed since they were looked at.
    const batch = chosen.filter(
      ({ blobId, slot, holder }) => holder !== undefined || table.get(blobId)?.slot === slot,
    );
    const entries = batch.map((candidate) => this.#entryOf(candidate));
    const sources = batch.map(({ slot, sizeBytes }): SpillSource => ({
      sizeBytes,
      copyOut: (offset, target) => slots.copyOut(slot, offset, target),
    }));
    let locations: (SpillLocation | undefined)[];
    try {
      locations = await files.write(sources);
    } catch (error) {
      if (!(error instanceof SpillFailedError)) throw error;
      this.#diskFailure = error;
      for (const entry of entries) this.#forgetUnless(entry);
      return undefined;
    }
    const written: Candidate[] = [];
    for (const [index, location] of locations.entries()) {
      const entry = entries[index] as BlobEntry;
      if (location === undefined) {
        this.#forgetUnless(entry);
      } else if (table.get(entry.blobId) !== entry) {
        // Freed while it was written.
        await files.free(location);
      } else {
        // Two wrote it at a time: one copy is enough.
        if (entry.spilled === undefined) entry.spilled = location;
        else await files.free(location);
        written.push(batch[index] as Candidate);
      }
    }
    return written;
  }

  /** What a process offers that is not in the table is its own. */
  #entryOf({ blobId, slot, sizeBytes, holder, lastUsedMs }: Candidate): BlobEntry {
    const { table } = this.#options;
    const known = table.get(blobId);
    if (known !== undefined) return known;
    return table.add({
      blobId,
      sizeBytes,
      owner: holder as ProcessId,
      ownerAddress: undefined,
      slot,
      holder,
      isCopy: false,
      spilled: undefined,
      lastUsedMs,
    });
  }

  /** A process's own blob that did not get to disk is no business of the agent. */
  #forgetUnless(entry: BlobEntry): void {
    const { table } = this.#options;
    if (entry.holder === entry.owner && entry.spilled === undefined) table.release([entry.blobId]);
  }

  /** Closes the slots of blobs that are on disk; gives the bytes of those whose slots were closed. */
  async #evict(victims: readonly Candidate[]): Promise<number> {
    const { memory, table } = this.#options;
    const byHolder = new Map<ProcessId, Candidate[]>();
    let freed = 0;
    for (const victim of victims) {
      const { holder, slot } = victim;
      if (holder !== undefined) {
        byHolder.set(holder, [...(byHolder.get(holder) ?? []), victim]);
        continue;
      }
      const entry = table.get(victim.blobId);
      if (entry?.slot !== slot) continue;
      table.place(entry, undefined, undefined);
      memory.release([slot]);
      freed += victim.sizeBytes;
      this.#evictions += 1;
    }
    const closings = [...byHolder].map(([holder, own]) => this.#inTime(this.#evictAt(holder, own)));
    return freed + sum(await Promise.all(closings));
  }

  async #evictAt(holder: ProcessId, victims: readonly Candidate[]): Promise<number> {
    const { processes } = this.#options;
    const blobIds = victims.map(({ blobId }) => blobId);
    // However late it comes: from then on the process relies on the copy on disk.
    const answer = await processes.askPatiently(holder, RECORD.storeEvict, blobIds);
    if (answer === undefined) return 0;
    const closed = new Set(blobIdsFrom(answer));
    let freed = 0;
    for (const { blobId, sizeBytes } of victims) {
      if (closed.has(blobId)) freed += sizeBytes;
      await this.#evicted(blobId, holder, closed.has(blobId));
    }
    this.#evictions += closed.size;
    return freed;
  }

  async #evicted(blobId: BlobId, holder: ProcessId, isClosed: boolean): Promise<void> {
    const { table, files } = this.#options;
    const entry = table.get(blobId);
    if (entry?.holder !== holder) return;
    if (isClosed) {
      table.place(entry, undefined, undefined);
      return;
    }
    if (entry.owner !== holder) return;
    // It is in use, or its owner freed it before it heard of the disk.
    for (const location of table.release([blobId]).spilled) await files.free(location);
  }

  /** What comes later still counts, but nobody waits for it. */
  async #inTime(freed: Promise<number>): Promise<number> {
    let cancel: () => void = () => undefined;
    const late = new Promise<number>((resolve) => {
      cancel = this.#options.clock.after(ANSWER_TIMEOUT_MS, () => resolve(0), { unref: true });
    });
    const first = await Promise.race([freed, late]);
    cancel();
    return first;
  }

  #ownBytes(): number {
    let bytes = 0;
    for (const { slot, holder, sizeBytes } of this.#options.table.entries())
      if (slot !== undefined && holder === undefined) bytes += sizeBytes;
    return bytes;
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
