import { WaitingLine } from './waiting-line.ts';

interface Item<T> {
  /** The place of its put among all puts. */
  readonly number: number;
  readonly value: T;
}

interface Putter<T> {
  readonly item: Item<T>;
  readonly admitted: () => void;
}

type Serve<T> = (item: Item<T>) => void;

/** Gives up: a wait ends, and an item that was handed over and not taken goes back to its place. */
export type GiveUp = () => void;

/**
 * The items of a Queue, and those who wait for one or for room, first come first served. An item is handed to the first
 * who waits, not put where somebody quicker could take it. So nobody waits for an item while there is one, and nobody
 * for room while there is some.
 */
export class FairQueue<T> {
  readonly #maxSize: number;
  readonly #items = new WaitingLine<Item<T>>();
  /** Given back by those who gave up; they were put before all of `#items`. Oldest first. */
  readonly #returned: Item<T>[] = [];
  readonly #getters = new WaitingLine<Serve<T>>();
  readonly #putters = new WaitingLine<Putter<T>>();
  #puts = 0;

  /** @param maxSize 0: without limit. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#items.length + this.#returned.length;
  }

  get #hasRoom(): boolean {
    return this.#maxSize === 0 || this.size < this.#maxSize;
  }

  /** `admitted` is called once the item is in: at once when there is room. To give up after that changes nothing. */
  put(value: T, admitted: () => void): GiveUp {
    this.#puts += 1;
    const item = { number: this.#puts, value };
    if (!this.#hasRoom) return this.#putters.push({ item, admitted });
    this.#add(item);
    admitted();
    return () => undefined;
  }

  /** `take` is called with the first item: at once when there is one. */
  get(take: (value: T) => void): GiveUp {
    let handed: Item<T> | undefined;
    const serve: Serve<T> = (item) => {
      handed = item;
      take(item.value);
    };
    const first = this.#takeFirst();
    const leave = first === undefined ? this.#getters.push(serve) : undefined;
    if (first !== undefined) serve(first);
    return () => {
      leave?.();
      if (handed !== undefined) this.#giveBack(handed);
      handed = undefined;
    };
  }

  #add(item: Item<T>): void {
    const serve = this.#getters.shift();
    if (serve === undefined) this.#items.push(item);
    else serve(item);
  }

  #takeFirst(): Item<T> | undefined {
    const first = this.#returned.shift() ?? this.#items.shift();
    if (first === undefined || !this.#hasRoom) return first;
    const putter = this.#putters.shift();
    if (putter === undefined) return first;
    this.#items.push(putter.item);
    putter.admitted();
    return first;
  }

  #giveBack(item: Item<T>): void {
    const serve = this.#getters.shift();
    if (serve !== undefined) {
      serve(item);
      return;
    }
    this.#returned.push(item);
    this.#returned.sort((a, b) => a.number - b.number);
  }
}
