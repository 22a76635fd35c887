import { assert } from '../assert.ts';

/**
 * Which pages of a segment are free: a sorted list of runs that never touch each other. Allocation prefers the run
 * that was freed last, since its bytes are likelier to be in the processor's cache, then the smallest run that fits.
 */
export class PageAllocator {
  readonly pages: number;
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private free = 0;
  private freedLast = -1;

  /** @param areFree false: starts with every page taken, to be freed run by run. */
  constructor(pages: number, areFree = true) {
    this.pages = pages;
    if (areFree && pages > 0) this.release(0, pages);
    this.freedLast = -1;
  }

  get freePages(): number {
    return this.free;
  }

  /** First page of a run of `count` that is now taken; undefined when no run is long enough. */
  allocate(count: number): number | undefined {
    assert(count > 0, 'a run has a page at least');
    if (count > this.free) return undefined;
    const index = this.fittingRun(count);
    if (index === undefined) return undefined;
    const start = this.starts[index] as number;
    if (start + count === this.ends[index]) {
      this.starts.splice(index, 1);
      this.ends.splice(index, 1);
    } else this.starts[index] = start + count;
    this.free -= count;
    return start;
  }

  release(start: number, count: number): void {
    const end = start + count;
    assert(start >= 0 && count > 0 && end <= this.pages, 'pages of this segment');
    const index = this.runsBefore(start);
    const previousEnd = index > 0 ? (this.ends[index - 1] as number) : -1;
    const nextStart = this.starts[index] ?? Infinity;
    assert(previousEnd <= start && end <= nextStart, 'pages are freed once');
    const joinsPrevious = previousEnd === start;
    const joinsNext = nextStart === end;
    if (joinsPrevious && joinsNext) {
      this.ends[index - 1] = this.ends[index] as number;
      this.starts.splice(index, 1);
      this.ends.splice(index, 1);
    } else if (joinsPrevious) this.ends[index - 1] = end;
    else if (joinsNext) this.starts[index] = start;
    else {
      this.starts.splice(index, 0, start);
      this.ends.splice(index, 0, end);
    }
    this.free += count;
    this.freedLast = start;
  }

  /** The free runs, by address. */
  *runs(): Generator<[start: number, count: number]> {
    for (const [index, start] of this.starts.entries())
      yield [start, (this.ends[index] as number) - start];
  }

  private fittingRun(count: number): number | undefined {
    const { starts, ends } = this;
    const last = this.runsBefore(this.freedLast + 1) - 1;
    if (last >= 0 && (ends[last] as number) > this.freedLast && this.lengthOf(last) >= count)
      return last;
    let best: number | undefined;
    let bestLength = Infinity;
    for (let index = 0; index < starts.length; index++) {
      const length = this.lengthOf(index);
      if (length < count || length >= bestLength) continue;
      best = index;
      bestLength = length;
      if (length === count) break;
    }
    return best;
  }

  private lengthOf(index: number): number {
    return (this.ends[index] as number) - (this.starts[index] as number);
  }

  /** How many runs start before `page`. */
  private runsBefore(page: number): number {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.starts[middle] as number) < page) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
