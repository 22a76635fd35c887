import { constants } from 'node:buffer';
import { ProtocolError } from '../errors/errors.ts';
import type { SlotAddress } from '../objects/blob.ts';
import type { NativeMemory } from './native-memory.ts';
import type { PinFile } from './pin-file.ts';
import { SegmentReader } from './segment-reader.ts';
import { roundToPages, segmentPath, SLOT_PAGE_BYTES } from './store-layout.ts';
import type { StoredBytes } from './stored-bytes.ts';

/** One slot that this process holds views of. */
interface Pin {
  readonly segment: OpenSegment;
  readonly page: number;
  readonly generation: number;
  readonly index: number;
  /** Counted in `foreignPages`. */
  readonly foreignPages: number;
  buffers: number;
}

/** One opening of a slot: what its reader writes is shown by no other. */
interface Opening {
  readonly pin: Pin;
  /** Of the slot's first byte. */
  readonly address: number;
  /** Of a mapping of its own; 0: it is shown by that of the segment. */
  readonly mappedBytes: number;
  buffers: number;
}

interface OpenSegment {
  readonly reader: SegmentReader;
  readonly pins: Map<number, Pin>;
}

interface PinnedViewsOptions {
  directory: string;
  memory: NativeMemory | undefined;
  pinFile: PinFile;
  /** Whether this process writes to that segment. */
  isOwn: (segmentId: number) => boolean;
}

/** What this process reads: mapped segments, and the pins that keep their slots from being reused. */
export class PinnedViews {
  bytesCopiedOut = 0;
  private readonly directory: string;
  private readonly memory: NativeMemory | undefined;
  private readonly pinFile: PinFile;
  private readonly isOwn: (segmentId: number) => boolean;
  private readonly segments = new Map<number, OpenSegment>();
  private readonly collected = new FinalizationRegistry<Opening>((opening) => this.letGo(opening));
  private bufferCount = 0;
  private foreignPages = 0;
  private isClosed = false;

  constructor({ directory, memory, pinFile, isOwn }: PinnedViewsOptions) {
    this.directory = directory;
    this.memory = memory;
    this.pinFile = pinFile;
    this.isOwn = isOwn;
  }

  /** Pages of other processes' segments that cannot be used again while they are looked at here. */
  get pinnedForeignPages(): number {
    return this.foreignPages;
  }

  /** ArrayBuffers that were given out and not collected yet. */
  get count(): number {
    return this.bufferCount;
  }

  /** Undefined: the slot was released. @throws ProtocolError when the address cannot be one. */
  open(slot: SlotAddress, sizeBytes: number): StoredBytes | undefined {
    const segment = this.segmentOf(slot.segmentId);
    if (segment === undefined) return undefined;
    segment.reader.checkAddress(slot, sizeBytes);
    if (this.memory === undefined) return this.copy(segment.reader, slot, sizeBytes);
    const held = segment.pins.get(slot.offset / SLOT_PAGE_BYTES);
    const pin = this.pinOf(segment, slot, sizeBytes);
    if (pin === undefined) return undefined;
    if (pin !== held) {
      const address = segment.reader.addressOf(slot.offset);
      return new PinnedBytes(this, { pin, address, mappedBytes: 0, buffers: 0 }, sizeBytes);
    }
    return this.openAgain(pin, slot, sizeBytes, this.memory);
  }

  /** Others look at the slot through the mapping of the segment, and may have written there. */
  private openAgain(
    pin: Pin,
    slot: SlotAddress,
    sizeBytes: number,
    memory: NativeMemory,
  ): StoredBytes | undefined {
    const { reader } = pin.segment;
    const mappedBytes = roundToPages(sizeBytes) * SLOT_PAGE_BYTES;
    let address: number;
    try {
      address = reader.mapAgain(slot.offset, mappedBytes, memory);
    } catch {
      // The kernel limits the mappings of a process.
      return this.copy(reader, slot, sizeBytes);
    }
    return new PinnedBytes(this, { pin, address, mappedBytes, buffers: 0 }, sizeBytes);
  }

  viewOf(opening: Opening, offset: number, length: number): ArrayBuffer {
    const buffer = opening.pin.segment.reader.view(opening.address + offset, length);
    opening.buffers++;
    opening.pin.buffers++;
    this.bufferCount++;
    this.collected.register(buffer, opening);
    return buffer;
  }

  /** Lets go of segments that were given back. */
  sweep(): void {
    for (const [segmentId, segment] of this.segments)
      if (segment.reader.isRetired) this.forget(segmentId, segment);
  }

  /** Memory that is still looked at stays mapped, but is no longer protected. */
  close(): void {
    this.isClosed = true;
    for (const { reader, pins } of this.segments.values()) if (pins.size === 0) reader.close();
    this.segments.clear();
  }

  private segmentOf(segmentId: number): OpenSegment | undefined {
    const known = this.segments.get(segmentId);
    if (known !== undefined && !known.reader.isRetired) return known;
    if (known !== undefined) this.forget(segmentId, known);
    const path = segmentPath(this.directory, segmentId);
    const reader = SegmentReader.open(path, segmentId, this.memory);
    if (reader === undefined) return undefined;
    const opened = { reader, pins: new Map<number, Pin>() };
    this.segments.set(segmentId, opened);
    return opened;
  }

  private forget(segmentId: number, segment: OpenSegment): void {
    this.segments.delete(segmentId);
    if (segment.pins.size === 0) segment.reader.close();
  }

  private pinOf(segment: OpenSegment, slot: SlotAddress, sizeBytes: number): Pin | undefined {
    const { reader, pins } = segment;
    const page = slot.offset / SLOT_PAGE_BYTES;
    const { generation } = slot;
    const held = pins.get(page);
    const pages = roundToPages(sizeBytes);
    if (held?.generation === generation) {
      reader.checkLength(page, sizeBytes);
      return held;
    }
    const index = this.pinFile.pin(slot.segmentId, page);
    try {
      // Pinned first, looked at afterwards: see the decision on the object plane.
      if (held !== undefined || !reader.isOpen(page, generation)) {
        this.pinFile.unpin(index);
        return undefined;
      }
      reader.checkLength(page, sizeBytes);
    } catch (error) {
      this.pinFile.unpin(index);
      throw error;
    }
    reader.show(page, pages);
    const foreignPages = this.isOwn(slot.segmentId) ? 0 : pages;
    this.foreignPages += foreignPages;
    const pin: Pin = { segment, page, generation, index, foreignPages, buffers: 0 };
    pins.set(page, pin);
    return pin;
  }

  private letGo(opening: Opening): void {
    const { pin, address, mappedBytes } = opening;
    this.bufferCount--;
    if (--opening.buffers === 0 && mappedBytes > 0) this.memory?.unmap(address, mappedBytes);
    if (--pin.buffers > 0 || this.isClosed) return;
    const { reader, pins } = pin.segment;
    pins.delete(pin.page);
    this.pinFile.unpin(pin.index);
    this.foreignPages -= pin.foreignPages;
    const isForgotten = this.segments.get(reader.segmentId) !== pin.segment;
    if (isForgotten && pins.size === 0) reader.close();
  }

  private copy(
    reader: SegmentReader,
    { offset, generation }: SlotAddress,
    sizeBytes: number,
  ): StoredBytes | undefined {
    const page = offset / SLOT_PAGE_BYTES;
    if (!reader.isOpen(page, generation)) return undefined;
    reader.checkLength(page, sizeBytes);
    const buffer = reader.copy(offset, sizeBytes);
    this.bytesCopiedOut += sizeBytes;
    // Without a pin: what was reused while it was copied is thrown away.
    return reader.isOpen(page, generation) ? new CopiedBytes(buffer) : undefined;
  }
}

class PinnedBytes implements StoredBytes {
  readonly bytes: Uint8Array;
  private readonly views: PinnedViews;
  private readonly opening: Opening;
  readonly sizeBytes: number;

  constructor(views: PinnedViews, opening: Opening, sizeBytes: number) {
    this.views = views;
    this.opening = opening;
    this.sizeBytes = sizeBytes;
    this.bytes = new Uint8Array(views.viewOf(opening, 0, Math.min(sizeBytes, SLOT_PAGE_BYTES)));
  }

  bufferOf(offset: number, length: number): ArrayBuffer {
    checkRange(offset, length, this.sizeBytes);
    if (length === 0) return new ArrayBuffer(0);
    return this.views.viewOf(this.opening, offset, length);
  }
}

class CopiedBytes implements StoredBytes {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  private readonly buffer: ArrayBuffer;

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
    this.sizeBytes = buffer.byteLength;
    this.bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, constants.MAX_LENGTH));
  }

  bufferOf(offset: number, length: number): ArrayBuffer {
    checkRange(offset, length, this.sizeBytes);
    return this.buffer.slice(offset, offset + length);
  }
}

function checkRange(offset: number, length: number, sizeBytes: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= sizeBytes) return;
  throw new ProtocolError(`Bytes ${offset} to ${offset + length} of a value of ${sizeBytes}.`);
}
