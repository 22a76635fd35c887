import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { PoolRun, type Values, type Work } from './pool-run.ts';
import { PoolActors } from './pool-actors.ts';
import type { ActorHandle } from './types.ts';

/** Spreads work over a fixed set of actors, one piece at a time on each. Same meaning as Ray's ActorPool. */
export class ActorPool<A extends object> {
  readonly #actors: PoolActors<ActorHandle<A>>;

  /** @throws InvalidArgumentError when it is no list of actors, or an empty one. */
  constructor(actors: ActorHandle<A>[]) {
    if (!Array.isArray(actors) || actors.length === 0)
      throw new InvalidArgumentError('ActorPool needs actors.');
    this.#actors = new PoolActors(actors);
  }

  /**
   * The results in the order of the values. A value is taken from the source when an actor is free for it, also while
   * earlier ones still run. An error is thrown at the place of its value, and ends the loop, not the pool.
   */
  map<V, R>(fn: Work<A, V, R>, values: Values<V>): AsyncIterable<R> {
    return new PoolRun(this.#actors, fn, values, { inOrder: true }).results();
  }

  /** The results as they come, without waiting for further values of the source. */
  mapUnordered<V, R>(fn: Work<A, V, R>, values: Values<V>): AsyncIterable<R> {
    return new PoolRun(this.#actors, fn, values, { inOrder: false }).results();
  }
}
