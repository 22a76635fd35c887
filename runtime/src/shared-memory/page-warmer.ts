import type { NativeMemory } from './native-memory.ts';
import { SLOT_PAGE_BYTES } from './store-layout.ts';

/** So short that neither the end of the process nor a new mapping waits for long. */
const SLICE_BYTES = 16 * 1024 * 1024;

export interface ColdRange {
  address: number;
  lengthBytes: number;
  segmentId: number;
  /** Told of each part of it that is in memory now. */
  noteWarmed(address: number, lengthBytes: number): void;
}

/**
 * Brings the pages of new segments into memory before something is written there, slice by slice on another thread:
 * the first touch of a page costs twenty times as much as writing it again.
 */
export class PageWarmer {
  private readonly memory: NativeMemory;
  private readonly queue: ColdRange[] = [];
  private isSlicing = false;
  /** Calls under way, by segment. */
  private readonly running = new Map<number, number>();
  private readonly onForgotten = new Map<number, () => void>();
  private isUseless = false;

  constructor(memory: NativeMemory) {
    this.memory = memory;
  }

  warm(range: ColdRange): void {
    if (this.isUseless || range.lengthBytes < SLOT_PAGE_BYTES) return;
    this.queue.push(range);
    this.next();
  }

  /** Before all else: it is about to be written. */
  warmFirst(range: ColdRange): void {
    if (this.isUseless) return;
    this.queue.unshift(range);
    this.next();
  }

  /** In one call, for a writer that lets this thread do nothing else before it is there, too. */
  warmAtOnce(range: ColdRange): void {
    if (!this.isUseless) this.populate(range, () => undefined);
  }

  /** Calls back, perhaps at once, when the segment is not looked at any more and may be unmapped. */
  forget(segmentId: number, whenForgotten: () => void): void {
    for (let index = this.queue.length - 1; index >= 0; index--)
      if (this.queue[index]?.segmentId === segmentId) this.queue.splice(index, 1);
    if (this.running.has(segmentId)) this.onForgotten.set(segmentId, whenForgotten);
    else whenForgotten();
  }

  private next(): void {
    const range = this.queue[0];
    if (this.isSlicing || range === undefined) return;
    const lengthBytes = Math.min(range.lengthBytes, SLICE_BYTES);
    const part = { ...range, lengthBytes };
    range.address += lengthBytes;
    range.lengthBytes -= lengthBytes;
    if (range.lengthBytes === 0) this.queue.shift();
    this.isSlicing = true;
    this.populate(part, () => {
      this.isSlicing = false;
      this.next();
    });
  }

  private populate(range: ColdRange, whenDone: () => void): void {
    const { address, lengthBytes, segmentId } = range;
    this.running.set(segmentId, (this.running.get(segmentId) ?? 0) + 1);
    this.memory.populate(address, lengthBytes, (isDone) => {
      if (isDone) range.noteWarmed(address, lengthBytes);
      this.ended(segmentId, isDone);
      whenDone();
    });
  }

  private ended(segmentId: number, isDone: boolean): void {
    const left = (this.running.get(segmentId) ?? 1) - 1;
    const whenForgotten = this.onForgotten.get(segmentId);
    if (!isDone && whenForgotten === undefined) {
      // An old kernel, or no memory: pages come when they are written. (A segment that was given back has none.)
      this.isUseless = true;
      this.queue.length = 0;
    }
    if (left > 0) {
      this.running.set(segmentId, left);
      return;
    }
    this.running.delete(segmentId);
    this.onForgotten.delete(segmentId);
    whenForgotten?.();
  }
}
