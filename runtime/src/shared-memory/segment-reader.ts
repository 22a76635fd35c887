import { closeSync, readSync } from 'node:fs';
import { assert } from '../assert.ts';
import { ProtocolError } from '../errors/errors.ts';
import type { SlotAddress } from '../objects/blob.ts';
import type { NativeMemory, PrivateMapping } from './native-memory.ts';
import { readSegmentHeader } from './segment-header.ts';
import { openPrivateFile, WordFile } from './store-files.ts';
import {
  GENERATION_MAX,
  generationWord,
  lengthWord,
  SEGMENT,
  SEGMENT_LIVE,
  segmentDataOffset,
  SLOT_PAGE_BYTES,
} from './store-layout.ts';

const READ_BYTES_MAX = 1024 * 1024 * 1024;

/** A segment, as someone sees it who only reads. */
export class SegmentReader {
  readonly segmentId: number;
  readonly pages: number;
  private readonly tables: WordFile;
  private readonly memory: NativeMemory | undefined;
  private readonly fd: number;
  private readonly mapping: PrivateMapping | undefined;
  /** Pages that were shown before: whoever looked at them may have left pages of his own. */
  private shown: Uint8Array | undefined;

  private constructor(
    segmentId: number,
    pages: number,
    files: { tables: number; data: number },
    memory: NativeMemory | undefined,
  ) {
    this.segmentId = segmentId;
    this.pages = pages;
    this.memory = memory;
    this.tables = new WordFile(files.tables, SEGMENT.headerWords + 2 * pages, memory, 'read');
    const fileOffset = segmentDataOffset(pages);
    const address = memory?.map(files.data, fileOffset, pages * SLOT_PAGE_BYTES, 'private');
    if (address !== undefined) this.mapping = { fd: files.data, fileOffset, address };
    this.fd = files.data;
  }

  /** Undefined when there is no such segment (any more). */
  static open(
    path: string,
    segmentId: number,
    memory: NativeMemory | undefined,
  ): SegmentReader | undefined {
    const data = openPrivateFile(path, 'read');
    if (data === undefined) return undefined;
    const header = readSegmentHeader(data);
    const tables = header === undefined ? undefined : openPrivateFile(path, 'read');
    if (header === undefined || tables === undefined) {
      closeSync(data);
      return undefined;
    }
    return new SegmentReader(segmentId, header.pages, { tables, data }, memory);
  }

  get isRetired(): boolean {
    return this.tables.words.load(SEGMENT.state) !== SEGMENT_LIVE;
  }

  isOpen(page: number, generation: number): boolean {
    return this.tables.words.load(generationWord(page)) === generation;
  }

  /** @throws ProtocolError when the address is not one of a slot of this segment. */
  checkAddress({ offset, generation }: SlotAddress, sizeBytes: number): void {
    const isAddress =
      Number.isSafeInteger(offset) &&
      offset >= 0 &&
      offset % SLOT_PAGE_BYTES === 0 &&
      Number.isSafeInteger(sizeBytes) &&
      sizeBytes > 0 &&
      offset + sizeBytes <= this.pages * SLOT_PAGE_BYTES &&
      generation > 0 &&
      generation <= GENERATION_MAX;
    if (!isAddress)
      throw new ProtocolError(`Not a slot of segment ${this.segmentId}: offset ${offset}.`);
  }

  /** Of an open slot. @throws ProtocolError when the slot is shorter. */
  checkLength(page: number, sizeBytes: number): void {
    const slotBytes = this.tables.words.load(lengthWord(this.pages, page)) * SLOT_PAGE_BYTES;
    if (sizeBytes > slotBytes)
      throw new ProtocolError(`A slot of ${slotBytes} bytes is said to hold ${sizeBytes}.`);
  }

  /** Makes the pages of a slot that nobody here looks at show what its producer wrote. */
  show(page: number, pages: number): void {
    const { memory, mapping } = this;
    assert(memory !== undefined && mapping !== undefined, 'the segment is mapped');
    this.shown ??= new Uint8Array(this.pages);
    const shown = this.shown.subarray(page, page + pages);
    if (memory.renewal === 'remap' || shown.includes(1))
      memory.renew(mapping, page * SLOT_PAGE_BYTES, pages * SLOT_PAGE_BYTES);
    shown.fill(1);
  }

  addressOf(offset: number): number {
    assert(this.mapping !== undefined, 'the segment is mapped');
    return this.mapping.address + offset;
  }

  /** A second mapping of a part, which the caller unmaps. @throws MantaError when the kernel refuses. */
  mapAgain(offset: number, lengthBytes: number, memory: NativeMemory): number {
    const fileOffset = segmentDataOffset(this.pages) + offset;
    return memory.map(this.fd, fileOffset, lengthBytes, 'private');
  }

  view(address: number, length: number): ArrayBuffer {
    assert(this.memory !== undefined, 'the segment is mapped');
    return this.memory.view(address, length);
  }

  /** A copy; short when the file was given back meanwhile. */
  copy(offset: number, length: number): ArrayBuffer {
    const buffer = new ArrayBuffer(length);
    const start = segmentDataOffset(this.pages) + offset;
    for (let done = 0; done < length;) {
      const target = new Uint8Array(buffer, done, Math.min(length - done, READ_BYTES_MAX));
      const count = readSync(this.fd, target, 0, target.length, start + done);
      if (count === 0) break;
      done += count;
    }
    return buffer;
  }

  /** Only when no view is left. */
  close(): void {
    const { mapping } = this;
    if (mapping !== undefined) this.memory?.unmap(mapping.address, this.pages * SLOT_PAGE_BYTES);
    this.tables.close();
    closeSync(this.fd);
  }
}
