import type { ActorCaller } from '../rpc/actor-caller.ts';

/** How many handles of each actor this process holds. */
export class HandleCounts {
  readonly #counts = new Map<ActorCaller, number>();

  made(caller: ActorCaller): void {
    this.#counts.set(caller, (this.#counts.get(caller) ?? 0) + 1);
  }

  /** Actors that this process holds. */
  get size(): number {
    return this.#counts.size;
  }

  /** True when it was the last one. */
  dropped(caller: ActorCaller): boolean {
    const count = (this.#counts.get(caller) ?? 1) - 1;
    if (count > 0) this.#counts.set(caller, count);
    else this.#counts.delete(caller);
    return count <= 0;
  }

  has(caller: ActorCaller): boolean {
    return this.#counts.has(caller);
  }
}
