import { mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { assert } from '../assert.ts';
import { InvalidArgumentError, MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';
import type { SlotAddress } from '../objects/blob.ts';
import { systemClock, type Clock } from '../time/clock.ts';
import { nativeMemory, type NativeMemory } from './native-memory.ts';
import type { OwnSegment } from './own-segment.ts';
import { OwnSegments, type OwnSlot } from './own-segments.ts';
import { ForeignPinFile, PinFile } from './pin-file.ts';
import { PinScan, slotKey } from './pin-scan.ts';
import { PinnedViews } from './pinned-views.ts';
import { MappedWords } from './shared-words.ts';
import {
  checkPrivateDirectory,
  codeOf,
  createPrivateFile,
  lengthenFile,
  openPrivateFile,
  WordFile,
} from './store-files.ts';
import {
  CONTROL,
  controlPath,
  pinsPath,
  roundToPages,
  SLOT_PAGE_BYTES,
  STORE_VERSION,
} from './store-layout.ts';
import { writeStoreOwner } from './store-owner.ts';
import type { StoredBytes } from './stored-bytes.ts';

/** How often released slots that someone pinned are looked at again. */
const SWEEP_INTERVAL_MS = 1_000;

export interface SharedStoreOptions {
  /** Made by `SharedStore.create`. */
  directory: string;
  processId: ProcessId;
  /** Default: 'mapped' where koffi loads, else 'copied'. */
  access?: 'mapped' | 'copied';
  /** What is mapped with. Default: this system's. */
  memory?: NativeMemory | undefined;
  clock?: Clock;
}

export interface SharedStoreStatistics {
  /** Of this process, as all that follow. */
  segments: number;
  segmentBytes: number;
  freeBytes: number;
  liveSlots: number;
  liveBytes: number;
  /** Closed to new readers, but some may still hold views. */
  releasedSlots: number;
  /** ArrayBuffers given out and not collected yet. */
  views: number;
  bytesCopiedIn: number;
  /** Stays 0 in a mapped store: readers get views. */
  bytesCopiedOut: number;
}

/** A slot to be filled piece by piece. Others see it only through its address. */
export interface SlotReservation {
  readonly slot: SlotAddress;
  write(offset: number, bytes: Uint8Array): void;
}

/** What one process (or thread) does in the shared memory of its node. See the decision on the object plane. */
export class SharedStore {
  readonly access: 'mapped' | 'copied';
  readonly directory: string;
  readonly limitBytes: number;
  private readonly processId: ProcessId;
  private readonly memory: NativeMemory | undefined;
  private readonly clock: Clock;
  private readonly control: WordFile;
  private readonly pinFile: PinFile;
  private readonly scan: PinScan;
  private readonly own: OwnSegments;
  private readonly views: PinnedViews;
  private bytesCopiedIn = 0;
  private isClosed = false;
  private cancelSweep: (() => void) | undefined;

  /** The agent of a node makes its store. @throws MantaError when the directory exists, or there is no space. */
  static create(directory: string, settings: { limitBytes: number }): void {
    const { limitBytes } = settings;
    if (!Number.isSafeInteger(limitBytes) || limitBytes < 0)
      throw new InvalidArgumentError(`limitBytes is ${limitBytes}: whole bytes are expected.`);
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      throw new MantaError(`Cannot make the object store ${directory}.`, { cause: error });
    }
    writeStoreOwner(directory);
    const fd = createPrivateFile(controlPath(directory));
    if (!lengthenFile(fd, 0, SLOT_PAGE_BYTES, undefined))
      throw new MantaError(`No space for the object store ${directory}.`);
    const file = new WordFile(fd, CONTROL.words, undefined, 'write');
    file.words.store(CONTROL.limitLow, limitBytes | 0);
    file.words.store(CONTROL.limitHigh, Math.floor(limitBytes / 2 ** 32));
    file.words.store(1, STORE_VERSION);
    file.words.store(0, CONTROL.magic);
    file.close();
  }

  /** @throws MantaError when there is no such store, it is not this user's alone, or the process is attached. */
  static attach(options: SharedStoreOptions): SharedStore {
    return new SharedStore(options);
  }

  private constructor(options: SharedStoreOptions) {
    const { directory, processId } = options;
    checkPrivateDirectory(directory);
    const memory = options.access === 'copied' ? undefined : (options.memory ?? nativeMemory());
    if (memory === undefined && options.access === 'mapped')
      throw new MantaError(
        'Shared memory cannot be mapped here: koffi is missing or does not work.',
      );
    this.memory = memory;
    this.access = memory === undefined ? 'copied' : 'mapped';
    this.directory = directory;
    this.processId = processId;
    this.clock = options.clock ?? systemClock;
    const fd = openPrivateFile(controlPath(directory), 'write');
    if (fd === undefined) throw new MantaError(`There is no object store in ${directory}.`);
    this.control = new WordFile(fd, CONTROL.words, memory, 'write');
    this.control.check(CONTROL.magic, directory);
    const { words } = this.control;
    this.limitBytes =
      words.load(CONTROL.limitHigh) * 2 ** 32 + (words.load(CONTROL.limitLow) >>> 0);
    this.pinFile = new PinFile(directory, processId, memory);
    // Told only once the file is complete, and before anything is pinned. Who copies pins nothing.
    if (words instanceof MappedWords) words.add(CONTROL.pinFileChanges, 1);
    this.scan = new PinScan(directory, memory, words);
    this.own = new OwnSegments({
      directory,
      processId,
      memory,
      limitBytes: this.limitBytes,
      pinFile: this.pinFile,
      scan: this.scan,
    });
    this.views = new PinnedViews({
      directory,
      memory,
      pinFile: this.pinFile,
      isOwn: (segmentId) => this.own.byId.has(segmentId),
    });
  }

  /** Bytes of the segment files of all processes; what `limitBytes` limits. */
  get usedBytes(): number {
    return this.scan.accountedPages() * SLOT_PAGE_BYTES;
  }

  /** Bytes that this process keeps from being used again: what it stored, and what it looks at in segments of others. */
  get heldBytes(): number {
    return (this.own.takenPages + this.views.pinnedForeignPages) * SLOT_PAGE_BYTES;
  }

  /** One copy of the parts into a fresh slot; undefined: no room within the quota. */
  write(parts: readonly Uint8Array[], sizeBytes: number): SlotAddress | undefined {
    const own = this.allocate(sizeBytes);
    if (own === undefined) return undefined;
    this.own.warmHalf(own, roundToPages(sizeBytes));
    const start = own.page * SLOT_PAGE_BYTES;
    let offset = 0;
    for (const part of parts) {
      assert(offset + part.length <= sizeBytes, 'the parts are as long as was said');
      own.segment.write(start + offset, part);
      offset += part.length;
    }
    this.bytesCopiedIn += offset;
    return addressOf(own);
  }

  /** For what comes in pieces; undefined: no room within the quota. Given up by `release([slot])`. */
  reserve(sizeBytes: number): SlotReservation | undefined {
    const own = this.allocate(sizeBytes);
    if (own === undefined) return undefined;
    this.own.warmSlot(own, roundToPages(sizeBytes));
    const start = own.page * SLOT_PAGE_BYTES;
    return {
      slot: addressOf(own),
      write: (offset, bytes) => {
        assert(offset >= 0 && offset + bytes.length <= sizeBytes, 'within what was reserved');
        assert(
          own.segment.slots.get(own.page)?.generation === own.generation,
          'a slot that was released is not written',
        );
        own.segment.write(start + offset, bytes);
        this.bytesCopiedIn += bytes.length;
      },
    };
  }

  /**
   * Pins the slot and gives its bytes; undefined: it is not that generation any more (a released slot that is still
   * pinned here is given). The pin ends when every ArrayBuffer given out was collected.
   * @throws ProtocolError when the address cannot be one of this store.
   */
  open(slot: SlotAddress, sizeBytes: number): StoredBytes | undefined {
    assert(!this.isClosed, 'an open store is read');
    return this.views.open(slot, sizeBytes);
  }

  /** Slots of own segments (others are passed over): closed to new readers, used again once nobody pins them. */
  release(slots: readonly SlotAddress[]): void {
    const closed: OwnSlotKey[] = [];
    for (const { segmentId, offset, generation } of slots) {
      const segment = this.own.byId.get(segmentId);
      const page = offset / SLOT_PAGE_BYTES;
      if (segment?.close(page, generation) === true)
        closed.push({ segment, page, key: slotKey(segmentId, page) });
    }
    this.reuse(closed);
    this.scheduleSweep();
  }

  /** Looks at released slots again, and lets go of what other processes gave back. */
  sweep(): void {
    if (this.isClosed) return;
    this.views.sweep();
    const closed: OwnSlotKey[] = [];
    for (const segment of this.own.byId.values())
      for (const page of segment.released.keys())
        closed.push({ segment, page, key: slotKey(segment.segmentId, page) });
    this.reuse(closed);
  }

  /** Gives wholly free segments back to the quota, until `bytes` are (default: all). @returns bytes given back */
  trim(bytes = Infinity): number {
    return this.own.trim(bytes);
  }

  /** Whether any process holds views of these slots. */
  pinned(slots: readonly SlotAddress[]): boolean[] {
    const keys = slots.map(({ segmentId, offset }) => slotKey(segmentId, offset / SLOT_PAGE_BYTES));
    const found = this.scan.pinned(new Set(keys));
    return keys.map((key) => found.has(key));
  }

  /**
   * The agent takes over the segments of a dead process and lets go of its pins; slots in them are released through
   * this store from then on.
   * @returns the numbers of the segments
   */
  adopt(processId: ProcessId): number[] {
    const adopted: number[] = [];
    for (const name of readdirSync(this.directory)) {
      const path = `${this.directory}/${name}`;
      if (name.startsWith(`making-${processId}-`)) unlinkSync(path);
      const segmentId = /^segment-(\d+)$/.exec(name)?.[1];
      if (segmentId === undefined || this.own.byId.has(Number(segmentId))) continue;
      const segment = this.own.adopt(Number(segmentId), processId);
      if (segment !== undefined) adopted.push(segment.segmentId);
    }
    ForeignPinFile.remove(pinsPath(this.directory, processId), this.memory);
    this.sweep();
    this.scheduleSweep();
    return adopted;
  }

  /** Slots of own segments that were not released, also in adopted ones. */
  *liveSlots(segmentId: number): Generator<{ slot: SlotAddress; capacityBytes: number }> {
    const segment = this.own.byId.get(segmentId);
    for (const [page, { generation, pages }] of segment?.slots ?? [])
      yield {
        slot: { segmentId, offset: page * SLOT_PAGE_BYTES, generation },
        capacityBytes: pages * SLOT_PAGE_BYTES,
      };
  }

  statistics(): SharedStoreStatistics {
    let freePages = 0;
    let liveSlots = 0;
    let livePages = 0;
    let releasedSlots = 0;
    for (const segment of this.own.byId.values()) {
      freePages += segment.freePages;
      liveSlots += segment.slots.size;
      releasedSlots += segment.released.size;
      for (const { pages } of segment.slots.values()) livePages += pages;
    }
    return {
      segments: this.own.byId.size,
      segmentBytes: this.own.filePages * SLOT_PAGE_BYTES,
      freeBytes: freePages * SLOT_PAGE_BYTES,
      liveSlots,
      liveBytes: livePages * SLOT_PAGE_BYTES,
      releasedSlots,
      views: this.views.count,
      bytesCopiedIn: this.bytesCopiedIn,
      bytesCopiedOut: this.views.bytesCopiedOut,
    };
  }

  /**
   * Lets go of all pins. Views that exist can still be read, but what they show may change.
   * @param options.removeSegments true: nothing that was stored here is needed any more. Default false: the agent
   * adopts the segments.
   */
  close(options: { removeSegments?: boolean } = {}): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.cancelSweep?.();
    const isRemoving = options.removeSegments ?? false;
    this.own.close(isRemoving);
    this.views.close();
    this.pinFile.close();
    this.scan.close();
    this.control.close();
    if (isRemoving) removeFile(pinsPath(this.directory, this.processId));
  }

  private allocate(sizeBytes: number): OwnSlot | undefined {
    assert(!this.isClosed, 'an open store is written to');
    assert(Number.isSafeInteger(sizeBytes) && sizeBytes > 0, 'a slot has a byte at least');
    const pages = roundToPages(sizeBytes);
    const slot = this.own.allocate(pages, true);
    if (slot !== undefined) return slot;
    this.sweep();
    return (
      this.own.allocate(pages, true) ??
      this.own.allocateInNew(pages) ??
      this.own.allocate(pages, false) ??
      (this.own.trim(Infinity) > 0 ? this.own.allocateInNew(pages) : undefined)
    );
  }

  private reuse(closed: readonly OwnSlotKey[]): void {
    const pinned = this.scan.pinned(new Set(closed.map(({ key }) => key)));
    for (const { segment, page, key } of closed) if (!pinned.has(key)) segment.reuse(page);
  }

  private scheduleSweep(): void {
    if (this.cancelSweep !== undefined || !this.hasReleased()) return;
    this.cancelSweep = this.clock.after(
      SWEEP_INTERVAL_MS,
      () => {
        this.cancelSweep = undefined;
        this.sweep();
        this.scheduleSweep();
      },
      { unref: true },
    );
  }

  private hasReleased(): boolean {
    for (const segment of this.own.byId.values()) if (segment.released.size > 0) return true;
    return false;
  }
}

interface OwnSlotKey {
  segment: OwnSegment;
  page: number;
  key: number;
}

const addressOf = ({ segment, page, generation }: OwnSlot): SlotAddress => ({
  segmentId: segment.segmentId,
  offset: page * SLOT_PAGE_BYTES,
  generation,
});

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
