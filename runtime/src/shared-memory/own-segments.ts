import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { NativeMemory } from './native-memory.ts';
import { OwnSegment } from './own-segment.ts';
import { type ColdRange, PageWarmer } from './page-warmer.ts';
import type { PinFile } from './pin-file.ts';
import type { PinScan } from './pin-scan.ts';
import { codeOf } from './store-files.ts';
import {
  GENERATION_MAX,
  SEGMENT_NUMBER_MAX,
  SEGMENT_PAGES_MAX,
  segmentFileBytes,
  segmentPath,
  SLOT_PAGE_BYTES,
} from './store-layout.ts';

const GROWTH_PAGES_MIN = (4 * 1024 * 1024) / SLOT_PAGE_BYTES;
const GROWTH_PAGES_MAX = (256 * 1024 * 1024) / SLOT_PAGE_BYTES;
/** Where pages cannot be reserved zeros are written, and nothing else is done meanwhile. */
const ZEROED_PAGES_MAX = (32 * 1024 * 1024) / SLOT_PAGE_BYTES;
/** Less is written before another thread has begun. */
const WARMED_PAGES_MIN = (4 * 1024 * 1024) / SLOT_PAGE_BYTES;
/** A segment made to grow takes at most this part of the quota; a single slot may take all of it. */
const GROWTH_PARTS_MIN = 16;

export interface OwnSlot {
  segment: OwnSegment;
  page: number;
  generation: number;
  /** In a segment made for it: nothing was ever written there. */
  isCold: boolean;
}

export interface OwnSegmentsOptions {
  directory: string;
  processId: string;
  memory: NativeMemory | undefined;
  limitBytes: number;
  pinFile: PinFile;
  scan: PinScan;
}

/** The segments that this process writes to, and their part of the quota. */
export class OwnSegments {
  readonly byId = new Map<number, OwnSegment>();
  private readonly options: OwnSegmentsOptions;
  private readonly warmer: PageWarmer | undefined;
  /** Made for one slot larger than what segments grow by: kept for others of its kind. */
  private readonly dedicated = new Set<number>();

  constructor(options: OwnSegmentsOptions) {
    this.options = options;
    if (options.memory !== undefined) this.warmer = new PageWarmer(options.memory);
  }

  get filePages(): number {
    let pages = 0;
    for (const segment of this.byId.values()) pages += segment.filePages;
    return pages;
  }

  /** In live slots, and in released ones that somebody looks at. */
  get takenPages(): number {
    let pages = 0;
    for (const segment of this.byId.values()) pages += segment.pages - segment.freePages;
    return pages;
  }

  /** From pages at hand. `isPicky`: leaves room that suits much larger slots alone. */
  allocate(pages: number, isPicky: boolean): OwnSlot | undefined {
    for (const segment of this.byId.values()) {
      if (segment.freePages < pages) continue;
      if (isPicky && this.dedicated.has(segment.segmentId) && pages * 2 < segment.pages) continue;
      const slot = segment.allocate(pages);
      if (slot !== undefined) return { segment, ...slot, isCold: false };
    }
    return undefined;
  }

  /** From a new segment; undefined when the quota or the file system has no room for it. */
  allocateInNew(pages: number): OwnSlot | undefined {
    if (pages > SEGMENT_PAGES_MAX) return undefined;
    const growth = this.growthPages();
    const isDedicated = pages > growth;
    const segment = (isDedicated ? undefined : this.add(growth)) ?? this.add(pages);
    const slot = segment?.allocate(pages);
    if (segment === undefined || slot === undefined) return undefined;
    if (isDedicated) this.dedicated.add(segment.segmentId);
    this.warm(segment);
    return { segment, ...slot, isCold: true };
  }

  /** The slot's pages are brought into memory ahead of bytes that come one after the other. */
  warmSlot({ segment, page }: OwnSlot, pages: number): void {
    const range = rangeOf(segment, page, pages);
    if (range !== undefined && pages >= WARMED_PAGES_MIN) this.warmer?.warmFirst(range);
  }

  /** Half of the slot's pages are brought into memory while the other half is written: that takes as long. */
  warmHalf({ segment, page, isCold }: OwnSlot, pages: number): void {
    const half = Math.floor(pages / 2);
    if (!isCold || half < WARMED_PAGES_MIN) return;
    const range = rangeOf(segment, page + pages - half, half);
    if (range !== undefined) this.warmer?.warmAtOnce(range);
  }

  /** Gives wholly free segments back until `bytes` are; how many were. */
  trim(bytes: number): number {
    let freed = 0;
    for (const segment of this.byId.values()) {
      if (freed >= bytes) break;
      if (segment.freePages < segment.pages) continue;
      freed += segment.filePages * SLOT_PAGE_BYTES;
      this.remove(segment);
    }
    return freed;
  }

  adopt(segmentId: number, from: string): OwnSegment | undefined {
    const segment = OwnSegment.adopt(this.place(segmentId), from, firstGeneration());
    if (segment === undefined) return undefined;
    this.options.pinFile.addToAccount(segment.filePages);
    this.byId.set(segmentId, segment);
    return segment;
  }

  close(isRemoving: boolean): void {
    for (const segment of this.byId.values()) {
      if (isRemoving) this.remove(segment);
      else this.release(segment, () => segment.detach());
    }
    this.byId.clear();
  }

  private growthPages(): number {
    const { limitBytes, memory } = this.options;
    const share = Math.floor(limitBytes / SLOT_PAGE_BYTES / GROWTH_PARTS_MIN);
    const most = memory?.canReserve === true ? GROWTH_PAGES_MAX : ZEROED_PAGES_MAX;
    return Math.max(1, Math.min(Math.max(this.filePages, GROWTH_PAGES_MIN), most, share));
  }

  private add(pages: number): OwnSegment | undefined {
    const { directory, limitBytes, pinFile, scan } = this.options;
    const filePages = segmentFileBytes(pages) / SLOT_PAGE_BYTES;
    if (filePages * SLOT_PAGE_BYTES > limitBytes) return undefined;
    // Added first, summed up afterwards: of two that would exceed the limit together, at least one sees it.
    pinFile.addToAccount(filePages);
    let segment: OwnSegment | undefined;
    try {
      if (scan.accountedPages() * SLOT_PAGE_BYTES <= limitBytes)
        segment = OwnSegment.create(this.place(freeNumber(directory)), pages, firstGeneration());
    } catch (error) {
      // The agent died and its successor removed the store: what exists can still be read, but there is no room.
      if (codeOf(error) !== 'ENOENT') throw error;
    } finally {
      if (segment === undefined) pinFile.addToAccount(-filePages);
    }
    if (segment !== undefined) this.byId.set(segment.segmentId, segment);
    return segment;
  }

  private remove(segment: OwnSegment): void {
    this.byId.delete(segment.segmentId);
    this.options.pinFile.addToAccount(-segment.filePages);
    segment.retire();
    this.release(segment, () => segment.detach());
  }

  private release(segment: OwnSegment, whenUnused: () => void): void {
    this.dedicated.delete(segment.segmentId);
    if (this.warmer === undefined) whenUnused();
    else this.warmer.forget(segment.segmentId, whenUnused);
  }

  private warm(segment: OwnSegment): void {
    for (const [page, count] of segment.freeRuns()) {
      const range = rangeOf(segment, page, count);
      if (range !== undefined) this.warmer?.warm(range);
    }
  }

  private place(segmentId: number) {
    const { directory, memory, processId } = this.options;
    return { directory, segmentId, owner: processId, memory };
  }
}

function rangeOf(segment: OwnSegment, page: number, pages: number): ColdRange | undefined {
  const { mappedAt, segmentId } = segment;
  if (mappedAt === undefined) return undefined;
  return {
    address: mappedAt + page * SLOT_PAGE_BYTES,
    lengthBytes: pages * SLOT_PAGE_BYTES,
    segmentId,
    noteWarmed: (address, lengthBytes) => segment.noteWarmed(address, lengthBytes),
  };
}

const firstGeneration = (): number => randomInt(1, GENERATION_MAX);

/** Random, so that no number has to be counted by all: not even that of a segment long gone comes back by chance. */
function freeNumber(directory: string): number {
  let segmentId = randomInt(1, SEGMENT_NUMBER_MAX);
  while (existsSync(segmentPath(directory, segmentId)))
    segmentId = randomInt(1, SEGMENT_NUMBER_MAX);
  return segmentId;
}
