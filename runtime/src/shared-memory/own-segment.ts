import { closeSync, ftruncateSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { assert } from '../assert.ts';
import { MantaError } from '../errors/errors.ts';
import type { NativeMemory } from './native-memory.ts';
import { PageAllocator } from './page-allocator.ts';
import { readSegmentHeader } from './segment-header.ts';
import type { SharedWords } from './shared-words.ts';
import { createPrivateFile, lengthenFile, openPrivateFile, WordFile } from './store-files.ts';
import {
  GENERATION_MAX,
  generationWord,
  lengthWord,
  makingPath,
  SEGMENT,
  SEGMENT_LIVE,
  SEGMENT_RETIRED,
  segmentDataOffset,
  segmentFileBytes,
  segmentPath,
  SLOT_PAGE_BYTES,
  STORE_VERSION,
} from './store-layout.ts';

/** Typed arrays end at 4 GiB in some engines: larger segments are written through several of these. */
const WINDOW_BYTES = 1024 * 1024 * 1024;

/** What was brought into memory is written while the processor's cache still holds it. */
const WARMED_BYTES = 4 * 1024 * 1024;
const WARMED_PAGES = WARMED_BYTES / SLOT_PAGE_BYTES;
/** Fewer pages come as quickly when they are written. */
const WARMED_PAGES_MIN = 4;

export interface OwnSegmentPlace {
  directory: string;
  segmentId: number;
  owner: string;
  memory: NativeMemory | undefined;
}

interface Slot {
  pages: number;
  generation: number;
}

/** A segment in which this process stores. A slot is live, then released (nobody opens it any more), then free. */
export class OwnSegment {
  readonly segmentId: number;
  readonly pages: number;
  readonly slots = new Map<number, Slot>();
  /** Lengths of slots that are closed to readers, of which some may still hold views. */
  readonly released = new Map<number, number>();
  private readonly path: string;
  private readonly memory: NativeMemory | undefined;
  private readonly file: WordFile;
  private readonly allocator: PageAllocator;
  /** For writing: the data mapped, or the descriptor. */
  private readonly address: number | undefined;
  private readonly fd: number;
  /** 1 for each page that is in this process's memory. */
  private readonly warmed: Uint8Array;
  private readonly windows: (Uint8Array | undefined)[] = [];
  private generation: number;

  private constructor(place: OwnSegmentPlace, fd: number, pages: number, generation: number) {
    this.segmentId = place.segmentId;
    this.pages = pages;
    this.path = segmentPath(place.directory, place.segmentId);
    this.memory = place.memory;
    this.generation = generation;
    const tables = openPrivateFile(this.path, 'write');
    if (tables === undefined) throw new MantaError(`${this.path} is gone.`);
    this.file = new WordFile(tables, SEGMENT.headerWords + 2 * pages, place.memory, 'write');
    try {
      const offset = segmentDataOffset(pages);
      this.address = place.memory?.map(fd, offset, pages * SLOT_PAGE_BYTES, 'shared');
    } catch (error) {
      this.file.close();
      throw error;
    }
    this.fd = fd;
    this.warmed = new Uint8Array(place.memory === undefined ? 0 : pages);
    this.allocator = new PageAllocator(pages, false);
    this.readSlots();
  }

  /**
   * Undefined: the file system has no room.
   * @param firstGeneration random, so that addresses of a segment of this number that is long gone do not fit.
   */
  static create(
    place: OwnSegmentPlace,
    pages: number,
    firstGeneration: number,
  ): OwnSegment | undefined {
    const { directory, owner, segmentId, memory } = place;
    let path = makingPath(directory, owner, segmentId);
    const fd = createPrivateFile(path);
    let segment: OwnSegment | undefined;
    try {
      if (!lengthenFile(fd, 0, segmentFileBytes(pages), memory)) return undefined;
      writeHeader(fd, pages, owner);
      renameSync(path, segmentPath(directory, segmentId));
      path = segmentPath(directory, segmentId);
      segment = new OwnSegment(place, fd, pages, firstGeneration);
      return segment;
    } finally {
      if (segment === undefined) {
        closeSync(fd);
        unlinkSync(path);
      }
    }
  }

  /** Takes over what a dead process left; undefined when the segment is not its. */
  static adopt(place: OwnSegmentPlace, from: string, generation: number): OwnSegment | undefined {
    const path = segmentPath(place.directory, place.segmentId);
    const fd = openPrivateFile(path, 'write');
    if (fd === undefined) return undefined;
    let segment: OwnSegment | undefined;
    try {
      const header = readSegmentHeader(fd);
      if (header === undefined || header.owner !== from) return undefined;
      segment = new OwnSegment(place, fd, header.pages, generation);
      writeHeader(fd, header.pages, place.owner);
      return segment;
    } finally {
      if (segment === undefined) closeSync(fd);
    }
  }

  get filePages(): number {
    return segmentFileBytes(this.pages) / SLOT_PAGE_BYTES;
  }

  get freePages(): number {
    return this.allocator.freePages;
  }

  /** First page of a new slot. Its generation is set, but only who is told the address can open it. */
  allocate(pages: number): { page: number; generation: number } | undefined {
    const page = this.allocator.allocate(pages);
    if (page === undefined) return undefined;
    this.generation = this.generation >= GENERATION_MAX ? 1 : this.generation + 1;
    const { generation } = this;
    this.slots.set(page, { pages, generation });
    const { words } = this.file;
    words.store(lengthWord(this.pages, page), pages);
    words.store(generationWord(page), generation);
    return { page, generation };
  }

  /** Closes the slot to new readers; false when it is not that slot any more. */
  close(page: number, generation: number): boolean {
    const slot = this.slots.get(page);
    if (slot?.generation !== generation) return false;
    this.slots.delete(page);
    this.released.set(page, slot.pages);
    this.file.words.store(generationWord(page), 0);
    return true;
  }

  /** Nobody has views of the closed slot. */
  reuse(page: number): void {
    const pages = this.released.get(page);
    assert(pages !== undefined, 'only a released slot is used again');
    this.released.delete(page);
    this.file.words.store(lengthWord(this.pages, page), 0);
    this.allocator.release(page, pages);
  }

  /** `offset` counts from the start of the data. */
  write(offset: number, bytes: Uint8Array): void {
    if (this.address === undefined) return this.writeFile(offset, bytes);
    this.memory?.willCopy(bytes);
    let written = 0;
    while (written < bytes.length) {
      const end = this.warm(offset + written, offset + bytes.length);
      this.copy(offset, bytes, written, end - offset);
      written = end - offset;
    }
  }

  /** The data at that address, in this process, was brought into memory. */
  noteWarmed(address: number, lengthBytes: number): void {
    assert(this.address !== undefined, 'the segment is mapped');
    const start = (address - this.address) / SLOT_PAGE_BYTES;
    this.warmed.fill(1, start, start + lengthBytes / SLOT_PAGE_BYTES);
  }

  /** Brings the pages from `start` into memory, as far as they are to be written at once; gives the end of them. */
  private warm(start: number, end: number): number {
    const { warmed, memory, address } = this;
    const first = Math.floor(start / SLOT_PAGE_BYTES);
    const last = Math.ceil(end / SLOT_PAGE_BYTES);
    let cold = first;
    // Faster than indexOf, which does not know where to stop either.
    while (cold < last && warmed[cold] === 1) cold += 1;
    if (cold === last) return end;
    if (cold > first) return cold * SLOT_PAGE_BYTES;
    const count = Math.min(last - first, WARMED_PAGES);
    warmed.fill(1, first, first + count);
    if (count >= WARMED_PAGES_MIN && memory !== undefined && address !== undefined)
      memory.populateNow(address + first * SLOT_PAGE_BYTES, count * SLOT_PAGE_BYTES);
    return Math.min(end, (first + count) * SLOT_PAGE_BYTES);
  }

  private copy(offset: number, bytes: Uint8Array, from: number, to: number): void {
    for (let written = from; written < to;) {
      const at = offset + written;
      const window = this.window(Math.floor(at / WINDOW_BYTES));
      const start = at % WINDOW_BYTES;
      const count = Math.min(to - written, window.length - start);
      window.set(count === bytes.length ? bytes : bytes.subarray(written, written + count), start);
      written += count;
    }
  }

  /** Where the data is mapped, for warming. */
  get mappedAt(): number | undefined {
    return this.address;
  }

  freeRuns(): Iterable<[start: number, count: number]> {
    return this.allocator.runs();
  }

  /** Unmaps; the file stays, for others to read and to be adopted. */
  detach(): void {
    const { address } = this;
    if (address !== undefined) this.memory?.unmap(address, this.pages * SLOT_PAGE_BYTES);
    closeSync(this.fd);
    this.file.close();
  }

  /** Gives the memory back at once, whoever still has the file mapped. To be detached afterwards. */
  retire(): void {
    this.file.words.store(SEGMENT.state, SEGMENT_RETIRED);
    unlinkSync(this.path);
    // The tables stay: readers look at them before they touch the data.
    ftruncateSync(this.fd, segmentDataOffset(this.pages));
  }

  private readSlots(): void {
    const { pages } = this;
    const { words } = this.file;
    const table = wordsOf(words, generationWord(0), 2 * pages);
    let page = 0;
    let freeFrom = 0;
    while (page < pages) {
      const length = table[pages + page] ?? 0;
      if (length <= 0 || page + length > pages) {
        page++;
        continue;
      }
      if (page > freeFrom) this.allocator.release(freeFrom, page - freeFrom);
      const generation = table[page] ?? 0;
      if (generation === 0) this.released.set(page, length);
      else this.slots.set(page, { pages: length, generation });
      page += length;
      freeFrom = page;
    }
    if (pages > freeFrom) this.allocator.release(freeFrom, pages - freeFrom);
  }

  private window(index: number): Uint8Array {
    const known = this.windows[index];
    if (known !== undefined) return known;
    const { address, memory } = this;
    assert(address !== undefined && memory !== undefined, 'the segment is mapped');
    const start = index * WINDOW_BYTES;
    const length = Math.min(WINDOW_BYTES, this.pages * SLOT_PAGE_BYTES - start);
    const window = new Uint8Array(memory.view(address + start, length));
    this.windows[index] = window;
    return window;
  }

  private writeFile(offset: number, bytes: Uint8Array): void {
    const start = segmentDataOffset(this.pages) + offset;
    for (let written = 0; written < bytes.length;) {
      const count = Math.min(bytes.length - written, WINDOW_BYTES);
      written += writeSync(this.fd, bytes, written, count, start + written);
    }
  }
}

function writeHeader(fd: number, pages: number, owner: string): void {
  const header = Buffer.alloc(SEGMENT.headerWords * 4);
  const words = new Int32Array(header.buffer, header.byteOffset, SEGMENT.headerWords);
  words[0] = SEGMENT.magic;
  words[1] = STORE_VERSION;
  words[SEGMENT.state] = SEGMENT_LIVE;
  words[SEGMENT.pages] = pages;
  header.write(owner, SEGMENT.owner * 4, SEGMENT.ownerBytes, 'latin1');
  writeSync(fd, header, 0, header.length, 0);
}

/** A copy: the words of a file change while one looks. */
const wordsOf = (words: SharedWords, index: number, count: number): Int32Array =>
  words.loadMany(index, count).slice();
