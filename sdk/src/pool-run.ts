import type { PoolActors } from './pool-actors.ts';
import type { ActorHandle, ObjectRef } from './types.ts';
import { WaitingLine, type Leave } from './waiting-line.ts';

export type Work<A extends object, V, R> = (actor: ActorHandle<A>, value: V) => ObjectRef<R>;
export type Values<V> = Iterable<V> | AsyncIterable<V>;

/** The work on one value; without an outcome it is not over. */
interface Piece<R> {
  outcome: { value: R } | { error: unknown } | undefined;
}

/** One map() of a pool: takes values while actors are idle, and gives results, neither waiting for the other. */
export class PoolRun<A extends object, V, R> {
  readonly #actors: PoolActors<ActorHandle<A>>;
  readonly #fn: Work<A, V, R>;
  readonly #source: Iterator<V> | AsyncIterator<V>;
  readonly #inOrder: boolean;
  /** In the order in which they are given: that of the values, else that of their ends. */
  readonly #pieces = new WaitingLine<Piece<R>>();
  #unfinished = 0;
  #isPulling = false;
  #isExhausted = false;
  #isOver = false;
  /** Thrown by the source: it comes after the results of its values. */
  #sourceFailure: { error: unknown } | undefined;
  /** Of the value that has no actor yet; there is at most one. */
  #leaveLine: Leave | undefined;
  #wake: () => void = () => undefined;

  constructor(
    actors: PoolActors<ActorHandle<A>>,
    fn: Work<A, V, R>,
    values: Values<V>,
    { inOrder }: { inOrder: boolean },
  ) {
    this.#actors = actors;
    this.#fn = fn;
    this.#source =
      Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : values[Symbol.iterator]();
    this.#inOrder = inOrder;
  }

  async *results(): AsyncGenerator<R, void, undefined> {
    const stopWatching = this.#actors.watch(() => this.#wake());
    try {
      for (;;) {
        if (this.#wantsValue) void this.#pull();
        const outcome = this.#pieces.first?.outcome;
        if (outcome !== undefined) {
          this.#pieces.shift();
          if ('error' in outcome) throw outcome.error;
          yield outcome.value;
        } else {
          if (this.#isDone) break;
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
      if (this.#sourceFailure !== undefined) throw this.#sourceFailure.error;
    } finally {
      stopWatching();
      await this.#end();
    }
  }

  /** Also when others have all actors and nothing of this run is under way: it may be over. */
  get #wantsValue(): boolean {
    const isBusy = this.#isPulling || this.#leaveLine !== undefined;
    const isOfUse = this.#actors.isAnyIdle || this.#unfinished === 0;
    return !this.#isExhausted && !isBusy && isOfUse;
  }

  get #isDone(): boolean {
    return this.#isExhausted && this.#unfinished === 0 && this.#pieces.length === 0;
  }

  async #pull(): Promise<void> {
    this.#isPulling = true;
    try {
      const next = await this.#source.next();
      if (next.done === true) this.#isExhausted = true;
      else if (!this.#isOver) this.#begin(next.value);
    } catch (error) {
      this.#isExhausted = true;
      this.#sourceFailure = { error };
    } finally {
      this.#isPulling = false;
      this.#wake();
    }
  }

  /** Between two looks at the source another run may have taken the idle actor: then it waits for the next. */
  #begin(value: V): void {
    const piece: Piece<R> = { outcome: undefined };
    this.#unfinished += 1;
    if (this.#inOrder) this.#pieces.push(piece);
    let isTaken = false;
    const leave = this.#actors.take((actor) => {
      isTaken = true;
      this.#leaveLine = undefined;
      void this.#run(piece, value, actor);
    });
    if (!isTaken) this.#leaveLine = leave;
  }

  async #run(piece: Piece<R>, value: V, actor: ActorHandle<A>): Promise<void> {
    try {
      piece.outcome = { value: await this.#fn(actor, value) };
    } catch (error) {
      piece.outcome = { error };
    }
    this.#unfinished -= 1;
    if (!this.#inOrder) this.#pieces.push(piece);
    this.#actors.giveBack(actor);
    this.#wake();
  }

  /** Pieces that run go on to their end, and their actors come back. */
  async #end(): Promise<void> {
    this.#isOver = true;
    this.#leaveLine?.();
    if (this.#isExhausted) return;
    const returned = this.#source.return?.();
    // A generator that is asked for a value returns after it: nobody is kept waiting for that.
    if (!this.#isPulling) await returned;
  }
}
