const FIRST_CAPACITY = 64;
/** 24 MiB for the three lists, and a million calls under way. */
const LAST_CAPACITY = 2 ** 20;
const NO_NUMBER = -1;

/**
 * What belongs to numbers that grow, most of it for a short time: calls under way. A `Map` must not be used for this. It
 * moves to a new table again and again, and V8 links each left table to the next one. As soon as one of them has grown
 * old, each scavenge takes all that follow for alive, with the calls that stood in them: these become old in turn, and
 * the process spends a quarter of its time in full collections.
 *
 * Numbers of which one is in the way of another (they differ by a multiple of the capacity) stay in a Map: calls that
 * take long.
 */
export class NumberTable<T extends object> {
  #numbers: number[] = [];
  #values: (T | undefined)[] = [];
  /** When each was set. */
  #times: number[] = [];
  #mask = 0;
  /** How many are in the lists. */
  #count = 0;
  readonly #others = new Map<number, { value: T; time: number }>();
  #time = 0;

  constructor() {
    this.#reserve(FIRST_CAPACITY);
  }

  #reserve(capacity: number): void {
    this.#numbers = Array.from({ length: capacity }, () => NO_NUMBER);
    this.#values = Array.from({ length: capacity }, () => undefined);
    this.#times = Array.from({ length: capacity }, () => 0);
    this.#mask = capacity - 1;
    this.#count = 0;
  }

  get size(): number {
    return this.#count + this.#others.size;
  }

  get(number: number): T | undefined {
    const slot = number & this.#mask;
    if (this.#numbers[slot] === number) return this.#values[slot];
    return this.#others.size === 0 ? undefined : this.#others.get(number)?.value;
  }

  /** `number`: an integer from 0 that is not in the table. */
  set(number: number, value: T): void {
    if (this.#values[number & this.#mask] !== undefined) this.#makeRoom(number);
    this.#put(number, value, (this.#time += 1));
  }

  #put(number: number, value: T, time: number): void {
    const slot = number & this.#mask;
    this.#numbers[slot] = number;
    this.#values[slot] = value;
    this.#times[slot] = time;
    this.#count += 1;
  }

  delete(number: number): void {
    const slot = number & this.#mask;
    if (this.#numbers[slot] === number) this.#clear(slot);
    else if (this.#others.size > 0) this.#others.delete(number);
  }

  #clear(slot: number): void {
    this.#numbers[slot] = NO_NUMBER;
    this.#values[slot] = undefined;
    this.#count -= 1;
  }

  /** Either many are under way, or one is that is much older than `number`. */
  #makeRoom(number: number): void {
    const capacity = this.#mask + 1;
    if (this.#count > capacity / 2 && capacity < LAST_CAPACITY) this.#grow(2 * capacity);
    const slot = number & this.#mask;
    const value = this.#values[slot];
    if (value === undefined) return;
    this.#others.set(this.#numbers[slot] as number, { value, time: this.#times[slot] as number });
    this.#clear(slot);
  }

  /** What has a slot of its own has one in the larger lists too. */
  #grow(capacity: number): void {
    const numbers = this.#numbers;
    const values = this.#values;
    const times = this.#times;
    this.#reserve(capacity);
    for (const [slot, value] of values.entries())
      if (value !== undefined) this.#put(numbers[slot] as number, value, times[slot] as number);
  }

  /** In the order in which they were set. */
  entries(): [number: number, value: T][] {
    const all = [...this.#others].map(([number, { value, time }]) => ({ number, value, time }));
    for (const [slot, value] of this.#values.entries()) {
      if (value === undefined) continue;
      all.push({ number: this.#numbers[slot] as number, value, time: this.#times[slot] as number });
    }
    return all.sort((a, b) => a.time - b.time).map(({ number, value }) => [number, value]);
  }

  values(): T[] {
    return this.entries().map(([, value]) => value);
  }

  clear(): void {
    this.#others.clear();
    this.#reserve(FIRST_CAPACITY);
  }
}
