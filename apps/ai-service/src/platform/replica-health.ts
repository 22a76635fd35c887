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
  /** From one check to the next of replicas that are watched. */
  readonly intervalMs: number;
}

/** Brings replicas back to health: waits for those that restart, and replaces those that will not recover. */
export class ReplicaHealth<Handle> {
  readonly #options: ReplicaHealthOptions<Handle>;

  constructor(options: ReplicaHealthOptions<Handle>) {
    this.#options = options;
  }

  /** Keeps them healthy. Never rejects; ends when nothing is checked any more. */
  async watch(replicas: Replicas<Handle>, label: string): Promise<void> {
    const { signal, intervalMs } = this.#options;
    while (!signal.aborted) {
      await Promise.all(
        replicas.list().map((replica) => this.untilHealthy(replicas, replica, label)),
      );
      await this.#pause(intervalMs);
    }
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
    let failedLoads = 0;
    while (!signal.aborted) {
      try {
        await check(replica.handle);
        replica.healthy = true;
        replica.hasServed = true;
        return;
      } catch (error) {
        // Too busy to be asked is not dead.
        if (signal.aborted || MantaError.is(error, 'BackpressureError')) return;
        replica.healthy = false;
        logger.warn({ err: error, model: label }, 'a replica does not answer');
        if (MantaError.is(error, 'TaskError')) {
          // Its own answer: it has tried to load the model, and would not try again.
          failedLoads += 1;
          if (failedLoads >= loadsMax) throw error;
          await this.#end(replica, label);
          replica = replicas.replace(replica);
        } else if (MantaError.is(error, 'TaskTimeoutError') && replica.hasServed) {
          // Its process hangs. One that has not served yet may still be loading.
          await this.#end(replica, label);
          replica = replicas.replace(replica);
        } else if (MantaError.is(error, 'ActorDiedError')) {
          replica = replicas.replace(replica);
        }
        await this.#pause(retryMs);
      }
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    const { signal } = this.#options;
    await delay(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
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
