import { deferred, type Deferred } from '../engine/deferred.ts';
import { ModelOverloadedError } from '../errors.ts';

/** Runs one batch of token sequences and gives their vectors one after the other. */
export type RunEmbeddingBatch = (sequences: readonly TokenSequence[]) => Promise<Float32Array>;

export type TokenSequence = readonly number[];

export interface EmbeddingBatchLimits {
  /** Sequences in one batch. */
  rowsMax: number;
  /** Tokens in one batch, padding to the longest sequence included: how long a batch may keep others waiting. */
  tokensMax: number;
  /** Sequences that may wait, over all callers. */
  waitingMax: number;
}

/** One caller's sequences; those before `next` have been put into batches. */
interface Call {
  readonly sequences: readonly TokenSequence[];
  readonly vectors: Float32Array[];
  readonly signal: AbortSignal | undefined;
  readonly done: Deferred<Float32Array[]>;
  next: number;
  unfinished: number;
}

interface BatchRow {
  readonly call: Call;
  readonly index: number;
  readonly sequence: TokenSequence;
}

/**
 * Continuous batching over all callers: while one batch runs, what arrives waits and forms the next one. An idle engine
 * never waits for more, so a single text has no added latency; callers take turns, so a large call does not hold up
 * a small one.
 */
export class EmbeddingBatcher {
  readonly #runBatch: RunEmbeddingBatch;
  readonly #limits: EmbeddingBatchLimits;
  readonly #calls: Call[] = [];
  #running = false;

  constructor(runBatch: RunEmbeddingBatch, limits: EmbeddingBatchLimits) {
    this.#runBatch = runBatch;
    this.#limits = limits;
  }

  /** The vectors in the order of the sequences, of which there is at least one. */
  async embed(sequences: readonly TokenSequence[], signal?: AbortSignal): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    this.#refuseWhenFull(sequences.length);
    const done = deferred<Float32Array[]>();
    const unfinished = sequences.length;
    this.#calls.push({ sequences, vectors: [], signal, done, next: 0, unfinished });
    void this.#pump();
    return done.promise;
  }

  #refuseWhenFull(added: number): void {
    const { waitingMax } = this.#limits;
    const waiting = this.#calls.reduce(
      (sum, { sequences, next }) => sum + sequences.length - next,
      0,
    );
    if (waiting + added <= waitingMax) return;
    throw new ModelOverloadedError(
      `${waiting} texts wait for the embedding engine already; at most ${waitingMax} may. ` +
        'Try again in a moment, or add replicas.',
    );
  }

  async #pump(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let batch = this.#takeBatch(); batch.length > 0; batch = this.#takeBatch()) {
      try {
        distribute(batch, await this.#runBatch(batch.map(({ sequence }) => sequence)));
      } catch (error) {
        for (const { call } of batch) this.#drop(call, error);
      }
    }
    this.#running = false;
  }

  /** One sequence of each call in turn, as long as they fit. */
  #takeBatch(): BatchRow[] {
    const batch: BatchRow[] = [];
    let width = 1;
    for (let call = this.#calls.shift(); call !== undefined; call = this.#calls.shift()) {
      const sequence = call.sequences[call.next];
      if (call.signal?.aborted === true) call.done.reject(call.signal.reason);
      if (call.signal?.aborted === true || sequence === undefined) continue;
      width = Math.max(width, sequence.length);
      if (!this.#fits(batch.length + 1, width)) {
        this.#calls.unshift(call);
        break;
      }
      batch.push({ call, index: call.next++, sequence });
      if (call.next < call.sequences.length) this.#calls.push(call);
    }
    return batch;
  }

  /** One sequence always fits, or it would wait for ever. */
  #fits(rows: number, width: number): boolean {
    return rows === 1 || (rows <= this.#limits.rowsMax && rows * width <= this.#limits.tokensMax);
  }

  #drop(call: Call, error: unknown): void {
    call.done.reject(error);
    const position = this.#calls.indexOf(call);
    if (position >= 0) this.#calls.splice(position, 1);
  }
}

function distribute(batch: readonly BatchRow[], vectors: Float32Array): void {
  const dimensions = vectors.length / batch.length;
  for (const [row, { call, index }] of batch.entries()) {
    call.vectors[index] = vectors.subarray(row * dimensions, (row + 1) * dimensions);
    call.unfinished--;
    if (call.unfinished === 0) call.done.resolve(call.vectors);
  }
}
