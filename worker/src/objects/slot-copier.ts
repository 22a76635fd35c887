import { readSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { SlotAddress } from '@manta/runtime/objects/blob';
import { readSegmentHeader } from '@manta/runtime/shared-memory/segment-header';
import {
  generationWord,
  lengthWord,
  SEGMENT,
  SEGMENT_LIVE,
  segmentDataOffset,
  segmentPath,
  SLOT_PAGE_BYTES,
} from '@manta/runtime/shared-memory/store-layout';

/** Segment files kept open. */
const FILES_MAX = 64;
/** So much is read from memory in less time than it takes to have another thread do it, and then is in this one's cache. */
const DIRECT_BYTES_MAX = 1024 * 1024;

export interface SlotCopierOptions {
  /** Segments are in memory, not on a disk that may let us wait. */
  isMemory: boolean;
}

interface OpenSegment {
  readonly file: FileHandle;
  readonly pages: number;
}

/**
 * Copies bytes out of slots of any process by reading the segment's file: much at a time on threads of their own, and
 * without a pin that would have to wait for garbage collection.
 */
export class SlotCopier {
  readonly #directory: string;
  readonly #isMemory: boolean;
  /** In the order of their opening. */
  readonly #segments = new Map<number, Promise<OpenSegment | undefined>>();

  constructor(directory: string, { isMemory }: SlotCopierOptions) {
    this.#directory = directory;
    this.#isMemory = isMemory;
  }

  /**
   * Fills `target` with the bytes from `offset` of the slot. False: it is not that generation, or ceased to be while it
   * was copied, or is shorter.
   */
  async copyOut(slot: SlotAddress, offset: number, target: Uint8Array): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#copy(slot, offset, target);
      } catch (error) {
        // The file was closed here to open another one.
        if ((error as NodeJS.ErrnoException).code !== 'EBADF' || attempt === 3) throw error;
      }
    }
  }

  /** Whether the slot still holds what it held when its address was given out. */
  isCurrent(slot: SlotAddress): Promise<boolean> {
    return this.copyOut(slot, 0, new Uint8Array(0));
  }

  /** Closes files of segments that were given back: they keep the memory as long as they are open. */
  async sweep(): Promise<void> {
    for (const [segmentId, opening] of this.#segments) {
      const segment = await opening;
      if (segment === undefined || readWord(segment.file, SEGMENT.state) === SEGMENT_LIVE) continue;
      if (this.#segments.get(segmentId) !== opening) continue;
      this.#segments.delete(segmentId);
      await segment.file.close();
    }
  }

  async close(): Promise<void> {
    const segments = [...this.#segments.values()];
    this.#segments.clear();
    for (const segment of segments) await (await segment)?.file.close();
  }

  async #copy(slot: SlotAddress, offset: number, target: Uint8Array): Promise<boolean> {
    const segment = await this.#open(slot.segmentId);
    if (segment === undefined) return false;
    const { file } = segment;
    const isDirect = this.#isMemory && target.byteLength <= DIRECT_BYTES_MAX;
    const start = segmentDataOffset(segment.pages) + slot.offset + offset;
    for (let done = 0; done < target.byteLength;) {
      const length = target.byteLength - done;
      const count = isDirect
        ? readSync(file.fd, target, done, length, start + done)
        : (await file.read(target, done, length, start + done)).bytesRead;
      if (count === 0) return false;
      done += count;
    }
    // A slot's generation never comes back: what it is now it was all the time.
    return holds(segment, slot, offset + target.byteLength);
  }

  #open(segmentId: number): Promise<OpenSegment | undefined> {
    const known = this.#segments.get(segmentId);
    if (known !== undefined) return known;
    const opening = openSegment(segmentPath(this.#directory, segmentId));
    this.#segments.set(segmentId, opening);
    void this.#forgetMissing(segmentId, opening);
    if (this.#segments.size > FILES_MAX) void this.#closeOldest();
    return opening;
  }

  async #forgetMissing(
    segmentId: number,
    opening: Promise<OpenSegment | undefined>,
  ): Promise<void> {
    const segment = await opening.catch(() => undefined); // Told to who asked.
    if (segment === undefined && this.#segments.get(segmentId) === opening)
      this.#segments.delete(segmentId);
  }

  async #closeOldest(): Promise<void> {
    const [oldest] = this.#segments;
    if (oldest === undefined) return;
    this.#segments.delete(oldest[0]);
    await (await oldest[1])?.file.close();
  }
}

/** Undefined when there is no such segment (any more). */
async function openSegment(path: string): Promise<OpenSegment | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const header = readSegmentHeader(file.fd);
  if (header !== undefined) return { file, pages: header.pages };
  await file.close();
  return undefined;
}

function holds({ file, pages }: OpenSegment, slot: SlotAddress, bytes: number): boolean {
  const page = slot.offset / SLOT_PAGE_BYTES;
  return (
    Number.isInteger(page) &&
    page < pages &&
    slot.generation > 0 &&
    readWord(file, generationWord(page)) === slot.generation &&
    readWord(file, lengthWord(pages, page)) * SLOT_PAGE_BYTES >= bytes
  );
}

function readWord({ fd }: FileHandle, word: number): number {
  const bytes = Buffer.alloc(4);
  return readSync(fd, bytes, 0, 4, 4 * word) === 4 ? bytes.readInt32LE() : 0;
}
