import { deferred } from '../engine/deferred.ts';
import { ModelOverloadedError } from '../errors.ts';

/** Runs one batch of token sequences and gives their vectors one after the other. */
export type RunEmbeddingBatch = (
  sequences: readonly (readonly number[])[],
) => Promise<Float32Array>;

interface WaitingSequence {
  readonly tokenIds: readonly number[];
  readonly signal: AbortSignal | undefined;
  resolve(vector: Float32Array): void;
  reject(error: unknown): void;
}

/**
 * Continuous batching over all callers: while one batch runs, what arrives waits and forms the next one. An idle engine
 * never waits for more, so a single text has no added latency.
 */
export class EmbeddingBatcher {
  readonly #runBatch: RunEmbeddingBatch;
  readonly #batchSizeMax: number;
  readonly #waitingMax: number;
  #waiting: WaitingSequence[] = [];
  #running = false;

  constructor(runBatch: RunEmbeddingBatch, limits: { batchSizeMax: number; waitingMax: number }) {
    this.#runBatch = runBatch;
    this.#batchSizeMax = limits.batchSizeMax;
    this.#waitingMax = limits.waitingMax;
  }

  /** The vectors in the order of the sequences. A caller that leaves takes along what has not started. */
  async embed(
    sequences: readonly (readonly number[])[],
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    if (this.#waiting.length + sequences.length > this.#waitingMax) {
      throw new ModelOverloadedError(
        `${this.#waiting.length} texts wait for the embedding engine already; at most ${this.#waitingMax} may. ` +
          'Try again in a moment, or add replicas.',
      );
    }
    const vectors = sequences.map((tokenIds) => {
      const { promise, resolve, reject } = deferred<Float32Array>();
      this.#waiting.push({ tokenIds, signal, resolve, reject });
      return promise;
    });
    void this.#pump();
    return Promise.all(vectors);
  }

  async #pump(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      if (batch.length === 0) continue;
      try {
        distribute(batch, await this.#runBatch(batch.map(({ tokenIds }) => tokenIds)));
      } catch (error) {
        for (const sequence of batch) sequence.reject(error);
      }
    }
    this.#running = false;
  }

  #takeBatch(): WaitingSequence[] {
    const taken = this.#waiting.splice(0, this.#batchSizeMax);
    return taken.filter((sequence) => {
      if (sequence.signal?.aborted === true) sequence.reject(sequence.signal.reason);
      return sequence.signal?.aborted !== true;
    });
  }
}

function distribute(batch: readonly WaitingSequence[], vectors: Float32Array): void {
  const dimensions = vectors.length / batch.length;
  for (const [row, sequence] of batch.entries()) {
    sequence.resolve(vectors.subarray(row * dimensions, (row + 1) * dimensions));
  }
}
