import type { NativeMemory } from './native-memory.ts';
import { SLOT_PAGE_BYTES } from './store-layout.ts';

/** So short that neither the end of the process nor a new mapping waits for long. */
const SLICE_BYTES = 16 * 1024 * 1024;

interface ColdRange {
  address: number;
  lengthBytes: number;
  segmentId: number;
}

/**
 * Brings the pages of new segments into memory before something is written there, slice by slice on another thread:
 * the first touch of a page costs twenty times as much as writing it again.
 */
export class PageWarmer {
  private readonly memory: NativeMemory;
  private readonly queue: ColdRange[] = [];
  private running: ColdRange | undefined;
  private onEnd: (() => void) | undefined;
  private isUseless = false;

  constructor(memory: NativeMemory) {
    this.memory = memory;
  }

  warm(range: ColdRange): void {
    if (this.isUseless || range.lengthBytes < SLOT_PAGE_BYTES) return;
    this.queue.push(range);
    if (this.running === undefined) this.next();
  }

  /** Before all else: it is about to be written. */
  warmFirst(range: ColdRange): void {
    if (this.isUseless) return;
    this.queue.unshift(range);
    if (this.running === undefined) this.next();
  }

  /** Calls back, perhaps at once, when the segment is not looked at any more and may be unmapped. */
  forget(segmentId: number, whenForgotten: () => void): void {
    for (let index = this.queue.length - 1; index >= 0; index--)
      if (this.queue[index]?.segmentId === segmentId) this.queue.splice(index, 1);
    if (this.running?.segmentId !== segmentId) return whenForgotten();
    const before = this.onEnd;
    this.onEnd = () => {
      before?.();
      whenForgotten();
    };
  }

  private next(): void {
    const range = this.queue[0];
    if (range === undefined) return;
    const lengthBytes = Math.min(range.lengthBytes, SLICE_BYTES);
    const { address, segmentId } = range;
    range.address += lengthBytes;
    range.lengthBytes -= lengthBytes;
    if (range.lengthBytes === 0) this.queue.shift();
    this.running = { address, lengthBytes, segmentId };
    this.memory.populate(address, lengthBytes, (isDone) => this.ended(isDone));
  }

  private ended(isDone: boolean): void {
    this.running = undefined;
    const { onEnd } = this;
    this.onEnd = undefined;
    onEnd?.();
    if (!isDone) {
      // An old kernel, or no memory: pages come when they are written.
      this.isUseless = true;
      this.queue.length = 0;
    }
    this.next();
  }
}
