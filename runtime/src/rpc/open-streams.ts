/** What feeds the readers of one stream, as long as its call is under way. */
interface StreamFeed {
  /** Nobody can read the rest. */
  close(): void;
}

/**
 * The streams of this process whose calls are not over, and how many readers each has. A call knows what it feeds, never
 * who reads it: so a reader that was dropped is collected, and with the last one its call is cancelled.
 */
export class OpenStreams {
  readonly #noteHeld: () => void;
  readonly #readers = new Map<StreamFeed, number>();
  readonly #collected = new FinalizationRegistry<StreamFeed>((feed) => this.#readerGone(feed));

  constructor(noteHeld: () => void) {
    this.#noteHeld = noteHeld;
  }

  get size(): number {
    return this.#readers.size;
  }

  opened(reader: object, feed: StreamFeed): void {
    this.#readers.set(feed, (this.#readers.get(feed) ?? 0) + 1);
    this.#collected.register(reader, feed, feed);
    this.#noteHeld();
  }

  /** The call is over: what its readers leave unread goes with them. */
  ended(feed: StreamFeed): void {
    if (this.#readers.delete(feed)) this.#collected.unregister(feed);
  }

  #readerGone(feed: StreamFeed): void {
    const readers = this.#readers.get(feed);
    if (readers === undefined) return;
    if (readers > 1) this.#readers.set(feed, readers - 1);
    else feed.close();
  }
}
