/**
 * How much of the lineage of a process is kept, by number: when it takes more bytes than it may, the oldest goes
 * first (Ray: max_lineage_bytes).
 */
export class LineageTable {
  readonly limitBytes: number;
  /** In the order in which they came. */
  readonly #entries = new Map<number, number>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The result: those that have to go, oldest first; the new one too when it alone is too large. */
  add(key: number, bytes: number): number[] {
    this.remove(key);
    this.#entries.set(key, bytes);
    this.#bytes += bytes;
    const dropped: number[] = [];
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.limitBytes) break;
      this.remove(oldest);
      dropped.push(oldest);
    }
    return dropped;
  }

  /** Nobody needs it any more. */
  remove(key: number): void {
    this.#bytes -= this.#entries.get(key) ?? 0;
    this.#entries.delete(key);
  }
}
