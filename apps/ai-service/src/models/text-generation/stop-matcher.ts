export interface StopMatch {
  /** Text that is surely not part of a stop sequence. */
  text: string;
  stopped: boolean;
}

/**
 * Finds stop sequences in text that comes in pieces. The first sequence to be complete ends the text, the longest of
 * several that end together. What may be the beginning of one is held back, so however the text is cut into pieces
 * the same text comes out.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  push(text: string): StopMatch {
    const pending = this.#held + text;
    const stopStart = this.#firstStopStart(pending);
    if (stopStart !== undefined) {
      this.#held = '';
      return { text: pending.slice(0, stopStart), stopped: true };
    }
    const safeLength = pending.length - this.#heldLength(pending);
    this.#held = pending.slice(safeLength);
    return { text: pending.slice(0, safeLength), stopped: false };
  }

  /** The text held back, once it is sure that nothing follows. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  #firstStopStart(text: string): number | undefined {
    let first: { start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (first === undefined || end < first.end || (end === first.end && start < first.start)) {
        first = { start, end };
      }
    }
    return first?.start;
  }

  /** Length of the longest end of `text` with which a stop sequence begins. */
  #heldLength(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const ending = text.slice(-length);
      if (this.#stops.some((stop) => stop.startsWith(ending))) return length;
    }
    return 0;
  }
}
