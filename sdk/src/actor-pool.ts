import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { ActorHandle, ObjectRef } from './types.ts';

type Work<A extends object, V, R> = (actor: ActorHandle<A>, value: V) => ObjectRef<R>;
type Values<V> = Iterable<V> | AsyncIterable<V>;
type Outcome<R> = { value: R } | { error: unknown };

/** A piece of work under way: its promise tells itself, so that a race names its winner. */
interface Piece<R> {
  done: Promise<Piece<R>>;
  outcome: Outcome<R> | undefined;
}

/** Spreads work over a fixed set of actors, one piece at a time on each. Same meaning as Ray's ActorPool. */
export class ActorPool<A extends object> {
  readonly #idle: ActorHandle<A>[];
  /** Runs of this pool that wait for an actor that another run uses. */
  readonly #waiting: (() => void)[] = [];

  constructor(actors: ActorHandle<A>[]) {
    if (!Array.isArray(actors) || actors.length === 0)
      throw new InvalidArgumentError('ActorPool needs actors.');
    this.#idle = [...actors];
  }

  /** The results in the order of the values. A value is taken from the source when an actor is free for it. */
  map<V, R>(fn: Work<A, V, R>, values: Values<V>): AsyncIterable<R> {
    return this.#run(fn, values, (pieces) => (pieces[0] as Piece<R>).done);
  }

  /** The results as they come. */
  mapUnordered<V, R>(fn: Work<A, V, R>, values: Values<V>): AsyncIterable<R> {
    return this.#run(fn, values, (pieces) => Promise.race(pieces.map(({ done }) => done)));
  }

  async *#run<V, R>(
    fn: Work<A, V, R>,
    values: Values<V>,
    choose: (pieces: Piece<R>[]) => Promise<Piece<R>>,
  ): AsyncGenerator<R, void, undefined> {
    const source =
      Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : values[Symbol.iterator]();
    const pieces: Piece<R>[] = [];
    let exhausted = false;
    try {
      for (;;) {
        while (!exhausted && (this.#idle.length > 0 || pieces.length === 0)) {
          const next = await source.next();
          if (next.done === true) exhausted = true;
          else pieces.push(this.#start(fn, next.value, await this.#takeActor()));
        }
        if (pieces.length === 0) return;
        const piece = await choose(pieces);
        pieces.splice(pieces.indexOf(piece), 1);
        const outcome = piece.outcome as Outcome<R>;
        if ('error' in outcome) throw outcome.error;
        yield outcome.value;
      }
    } finally {
      if (!exhausted) await source.return?.();
    }
  }

  #start<V, R>(fn: Work<A, V, R>, value: V, actor: ActorHandle<A>): Piece<R> {
    const piece: Piece<R> = { done: undefined as never, outcome: undefined };
    const run = async (): Promise<Piece<R>> => {
      try {
        piece.outcome = { value: await fn(actor, value) };
      } catch (error) {
        piece.outcome = { error };
      } finally {
        this.#idle.push(actor);
        this.#waiting.shift()?.();
      }
      return piece;
    };
    piece.done = run();
    return piece;
  }

  async #takeActor(): Promise<ActorHandle<A>> {
    for (;;) {
      const actor = this.#idle.pop();
      if (actor !== undefined) return actor;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }
}
