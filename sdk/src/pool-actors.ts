import { WaitingLine, type Leave } from './waiting-line.ts';

/** The actors of a pool that have nothing to do, and those who could use one: several runs may share a pool. */
export class PoolActors<H> {
  readonly #idle: H[];
  readonly #takers = new WaitingLine<(actor: H) => void>();
  readonly #watchers = new Set<() => void>();

  constructor(actors: readonly H[]) {
    this.#idle = [...actors];
  }

  get isAnyIdle(): boolean {
    return this.#idle.length > 0;
  }

  /** `take` is called with the next actor that is idle: at once when there is one. */
  take(take: (actor: H) => void): Leave {
    const actor = this.#idle.pop();
    if (actor === undefined) return this.#takers.push(take);
    take(actor);
    return () => false;
  }

  giveBack(actor: H): void {
    const take = this.#takers.shift();
    if (take !== undefined) {
      take(actor);
      return;
    }
    this.#idle.push(actor);
    for (const watcher of this.#watchers) watcher();
  }

  /** The watcher is called when an actor is idle that nobody waits for. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }
}
