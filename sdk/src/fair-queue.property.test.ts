import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FairQueue, type GiveUp } from './fair-queue.ts';

/** What a queue should do, said in the simplest way: lists that are put right after each event. */
class Model {
  readonly maxSize: number;
  items: number[] = [];
  putters: number[] = [];
  getters: number[] = [];
  readonly admitted = new Set<number>();
  readonly handed = new Map<number, number>();

  constructor(maxSize: number) {
    this.maxSize = maxSize;
  }

  put(item: number): void {
    this.putters.push(item);
    this.#settle();
  }

  get(getter: number): void {
    this.getters.push(getter);
    this.#settle();
  }

  putterLeaves(item: number): void {
    this.putters = this.putters.filter((other) => other !== item);
  }

  getterLeaves(getter: number): void {
    this.getters = this.getters.filter((other) => other !== getter);
    const item = this.handed.get(getter);
    if (item === undefined) return;
    this.handed.delete(getter);
    this.items = [...this.items, item].sort((a, b) => a - b);
    this.#settle();
  }

  #settle(): void {
    for (;;) {
      const hasRoom = this.maxSize === 0 || this.items.length < this.maxSize;
      if (this.getters.length > 0 && this.items.length > 0) {
        this.handed.set(this.getters.shift() as number, this.items.shift() as number);
      } else if (this.putters.length > 0 && (hasRoom || this.getters.length > 0)) {
        const item = this.putters.shift() as number;
        this.admitted.add(item);
        this.items.push(item);
      } else return;
    }
  }
}

/** Plays the same events to the queue and to its model. */
class World {
  readonly model: Model;
  readonly queue: FairQueue<number>;
  readonly admitted = new Set<number>();
  /** What each has been handed and may still give back. */
  readonly handed = new Map<number, number>();
  readonly taken: number[] = [];
  readonly #givingUp = new Map<number, GiveUp>();
  readonly #putters: number[] = [];
  readonly #getters: number[] = [];
  #count = 0;

  constructor(maxSize: number) {
    this.model = new Model(maxSize);
    this.queue = new FairQueue(maxSize);
  }

  put(): void {
    const item = ++this.#count;
    this.#putters.push(item);
    this.model.put(item);
    this.#givingUp.set(
      item,
      this.queue.put(item, () => this.admitted.add(item)),
    );
  }

  get(): void {
    const getter = ++this.#count;
    this.#getters.push(getter);
    this.model.get(getter);
    this.#givingUp.set(
      getter,
      this.queue.get((item) => this.handed.set(getter, item)),
    );
  }

  putterLeaves(choice: number): void {
    const item = pick(this.#putters, choice);
    if (item === undefined) return;
    this.model.putterLeaves(item);
    this.#givingUp.get(item)?.();
  }

  getterLeaves(choice: number): void {
    const getter = pick(this.#getters, choice);
    if (getter === undefined) return;
    this.handed.delete(getter);
    this.model.getterLeaves(getter);
    this.#givingUp.get(getter)?.();
  }

  /** Its answer has left: it cannot give the item back any more. */
  answered(choice: number): void {
    const served = [...this.handed.keys()];
    const getter = pick(served, choice);
    if (getter === undefined) return;
    this.#getters.splice(this.#getters.indexOf(getter), 1);
    this.taken.push(this.handed.get(getter) as number);
    this.handed.delete(getter);
    this.model.handed.delete(getter);
  }
}

const pick = (from: readonly number[], choice: number): number | undefined =>
  from[choice % Math.max(1, from.length)];

const event = fc.tuple(
  fc.constantFrom('put', 'put', 'get', 'get', 'putterLeaves', 'getterLeaves', 'answered'),
  fc.nat(),
);

it('an item goes to one taker, in the order of the puts, whoever gives up meanwhile; nobody waits without need', () => {
  fc.assert(
    fc.property(fc.nat(3), fc.array(event, { maxLength: 60 }), (maxSize, events) => {
      const world = new World(maxSize);
      for (const [what, choice] of events) {
        world[what as 'answered'](choice);
        const { model, queue, admitted, handed } = world;
        expect(queue.size).toBe(model.items.length);
        expect(admitted).toEqual(model.admitted);
        expect(handed).toEqual(model.handed);
      }
      const { queue, taken, model } = world;
      const rest: number[] = [];
      for (let left = queue.size + model.putters.length; left > 0; left -= 1)
        queue.get((item) => rest.push(item));
      expect(rest).toEqual([...model.items, ...model.putters]);
      expect(new Set(taken).size).toBe(taken.length);
    }),
    { numRuns: 500 },
  );
});
