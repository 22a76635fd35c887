import { setTimeout as delay } from 'node:timers/promises';
import { MantaError } from '@manta/sdk';
import type { Logger } from '../gateway/logger.ts';
import type { Replica, Replicas } from './replicas.ts';

export interface ReplicaHealthOptions<Handle> {
  readonly logger: Logger;
  /** Once aborted nothing is checked any more. */
  readonly signal: AbortSignal;
  /** Resolves when the model is loaded and its engine answers. */
  readonly check: (handle: Handle) => PromiseLike<void>;
  readonly end: (handle: Handle) => PromiseLike<void>;
  /** Between two attempts. */
  readonly retryMs: number;
}

/** Brings replicas back to health: waits for those that restart, and replaces those that will not recover. */
export class ReplicaHealth<Handle> {
  readonly #options: ReplicaHealthOptions<Handle>;

  constructor(options: ReplicaHealthOptions<Handle>) {
    this.#options = options;
  }

  /**
   * Resolves when the replica, or the one that has taken its place, is healthy, or nothing is checked any more.
   * @param label of the model, for the log.
   * @param loadsMax so many replicas may fail to load the model. Default: without end.
   * @throws what the last one of them failed with.
   */
  async untilHealthy(
    replicas: Replicas<Handle>,
    first: Replica<Handle>,
    label: string,
    loadsMax = Infinity,
  ): Promise<void> {
    const { check, logger, signal, retryMs } = this.#options;
    let replica = first;
    for (let failedLoads = 0; !signal.aborted;) {
      try {
        await check(replica.handle);
        replica.healthy = true;
        return;
      } catch (error) {
        // Too busy to be asked is not dead.
        if (signal.aborted || MantaError.is(error, 'BackpressureError')) return;
        replica.healthy = false;
        logger.warn({ err: error, model: label }, 'a replica does not answer');
        // Its own answer: it has tried to load the model, and would not try again.
        const isFailedLoad = MantaError.is(error, 'TaskError');
        if (isFailedLoad) failedLoads += 1;
        if (failedLoads >= loadsMax) throw error;
        if (isFailedLoad) await this.#end(replica, label);
        if (isFailedLoad || MantaError.is(error, 'ActorDiedError'))
          replica = replicas.replace(replica);
        await delay(retryMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  }

  async #end({ handle }: Replica<Handle>, label: string): Promise<void> {
    const { end, logger } = this.#options;
    try {
      await end(handle);
    } catch (error) {
      logger.warn({ err: error, model: label }, 'a replica could not be ended');
    }
  }
}
