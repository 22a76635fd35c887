import { ActorUnavailableError, MantaError } from '@manta/sdk';

/** Errors of a replica, not of the request: another replica, or the same one once it has restarted, may answer. */
const REPLICA_ERRORS = new Set([
  'ActorDiedError',
  'ActorUnavailableError',
  'NodeDiedError',
  'OutOfMemoryError',
  'WorkerCrashedError',
]);

const ATTEMPTS_MAX = 3;

export interface Replica<Handle> {
  readonly handle: Handle;
  /** Calls that run on it now. */
  ongoing: number;
  /** It answered its last health check, and no call since has found it gone. */
  healthy: boolean;
  /** It has answered a health check. */
  hasServed: boolean;
}

/**
 * The replicas of one model. A call goes to the healthy one with the fewest running calls; if that fails under it, to
 * the next. Inference has no effects, so that running it twice does no harm.
 */
export class Replicas<Handle> {
  readonly #create: () => Handle;
  readonly #replicas: Replica<Handle>[] = [];

  constructor(create: () => Handle) {
    this.#create = create;
  }

  get healthy(): boolean {
    return this.#replicas.some((replica) => replica.healthy);
  }

  list(): readonly Replica<Handle>[] {
    return this.#replicas;
  }

  add(): Replica<Handle> {
    const replica = { handle: this.#create(), ongoing: 0, healthy: false, hasServed: false };
    this.#replicas.push(replica);
    return replica;
  }

  /** For a replica that is dead for good. */
  replace(dead: Replica<Handle>): Replica<Handle> {
    this.#replicas.splice(this.#replicas.indexOf(dead), 1);
    return this.add();
  }

  /** @throws ActorUnavailableError when there is no replica yet; else what the last attempt threw. */
  async call<T>(work: (handle: Handle) => PromiseLike<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const replica = this.#pick();
      replica.ongoing += 1;
      try {
        return await work(replica.handle);
      } catch (error) {
        this.#note(replica, error);
        if (attempt === ATTEMPTS_MAX || !isReplicaError(error)) throw error;
      } finally {
        replica.ongoing -= 1;
      }
    }
  }

  /** As `call`; only what fails before its first value is tried again. */
  async *stream<T>(work: (handle: Handle) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const replica = this.#pick();
      let begun = false;
      replica.ongoing += 1;
      try {
        for await (const value of work(replica.handle)) {
          begun = true;
          yield value;
        }
        return;
      } catch (error) {
        this.#note(replica, error);
        if (begun || attempt === ATTEMPTS_MAX || !isReplicaError(error)) throw error;
      } finally {
        replica.ongoing -= 1;
      }
    }
  }

  #pick(): Replica<Handle> {
    let best: Replica<Handle> | undefined;
    for (const replica of this.#replicas) {
      if (best === undefined || isBetter(replica, best)) best = replica;
    }
    if (best === undefined) throw new ActorUnavailableError('the model is still being started');
    return best;
  }

  #note(replica: Replica<Handle>, error: unknown): void {
    if (isReplicaError(error)) replica.healthy = false;
  }
}

function isBetter(a: Replica<unknown>, b: Replica<unknown>): boolean {
  return a.healthy === b.healthy ? a.ongoing < b.ongoing : a.healthy;
}

function isReplicaError(error: unknown): boolean {
  return MantaError.is(error) && REPLICA_ERRORS.has((error as Error).name);
}
