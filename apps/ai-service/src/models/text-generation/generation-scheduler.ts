import { deferred, type Deferred } from '../engine/deferred.ts';
import { ModelOverloadedError } from '../errors.ts';
import type { GenerationChunk } from '../types.ts';
import type { DecoderModel, ForwardResult } from './decoder-model.ts';
import type { GenerationSequence } from './generation-sequence.ts';
import { emptyCacheRow, gatherRows, type CacheRow } from './key-value-cache.ts';

export interface GenerationSchedulerLimits {
  /** Sequences that are decoded together. */
  runningMax: number;
  /** Sequences that may wait for a place. */
  waitingMax: number;
}

interface Job {
  readonly sequence: GenerationSequence;
  readonly signal: AbortSignal;
  readonly send: (chunk: GenerationChunk) => void;
  readonly done: Deferred<void>;
  place: CacheRow;
  /** Finished, aborted or failed. */
  ended: boolean;
}

/**
 * Continuous batching. Each round admits at most one waiting sequence (its whole prompt in one forward pass), then
 * appends one token to every running sequence in one pass. So a new request neither waits for running ones to end nor
 * holds them up for longer than its own prompt takes, and an aborted one is gone with the next round.
 */
export class GenerationScheduler {
  readonly #model: DecoderModel;
  readonly #limits: GenerationSchedulerLimits;
  #waiting: Job[] = [];
  #running: Job[] = [];
  #rounds: Promise<void> | undefined;

  constructor(model: DecoderModel, limits: GenerationSchedulerLimits) {
    this.#model = model;
    this.#limits = limits;
  }

  /** Resolves when the sequence has finished or was aborted; chunks go to `send` in order. */
  async run(
    sequence: GenerationSequence,
    signal: AbortSignal,
    send: (chunk: GenerationChunk) => void,
  ): Promise<void> {
    if (signal.aborted) return;
    if (this.#waiting.length >= this.#limits.waitingMax) {
      throw new ModelOverloadedError(
        `${this.#waiting.length} completions wait for the engine already; at most ${this.#limits.waitingMax} may. ` +
          'Try again in a moment, or add replicas.',
      );
    }
    const done = deferred<void>();
    const place = emptyCacheRow(this.#model.layout);
    this.#waiting.push({ sequence, signal, send, done, place, ended: false });
    this.#rounds ??= this.#runRounds();
    await done.promise;
  }

  /** Resolves when nothing is running. */
  async idle(): Promise<void> {
    await this.#rounds;
  }

  async #runRounds(): Promise<void> {
    for (;;) {
      this.#waiting = dropAborted(this.#waiting);
      this.#running = dropAborted(this.#running);
      if (this.#waiting.length + this.#running.length === 0) break;
      await this.#admitOne();
      await this.#step();
    }
    this.#rounds = undefined;
  }

  async #admitOne(): Promise<void> {
    if (this.#running.length >= this.#limits.runningMax) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    await this.#forward([job], [job.sequence.promptTokenIds]);
    if (!job.ended) this.#running.push(job);
  }

  async #step(): Promise<void> {
    const jobs = this.#running;
    if (jobs.length === 0) return;
    await this.#forward(
      jobs,
      jobs.map(({ sequence }) => [sequence.lastTokenId]),
    );
    this.#running = jobs.filter(({ ended }) => !ended);
  }

  /** One pass over these jobs; when it fails they all fail, and the scheduler goes on with the others. */
  async #forward(jobs: readonly Job[], tokenIds: readonly (readonly number[])[]): Promise<void> {
    const { layout } = this.#model;
    try {
      const cache = gatherRows(
        jobs.map(({ place }) => place),
        layout,
      );
      const result = await this.#model.forward(tokenIds, cache);
      for (const [row, job] of jobs.entries()) advance(job, result, row);
    } catch (error) {
      for (const job of jobs) {
        job.ended = true;
        job.done.reject(error);
      }
    }
  }
}

function advance(job: Job, { logits, cache }: ForwardResult, row: number): void {
  const rowLogits = logits[row];
  if (rowLogits === undefined) throw new Error(`The model gave no logits for row ${row}`);
  job.place = { cache, row };
  const chunk = job.sequence.accept(rowLogits);
  if (chunk !== undefined) job.send(chunk);
  job.ended = job.sequence.finished;
  if (job.ended) job.done.resolve();
}

function dropAborted(jobs: readonly Job[]): Job[] {
  for (const job of jobs) {
    if (!job.signal.aborted) continue;
    job.ended = true;
    job.done.resolve();
  }
  return jobs.filter(({ ended }) => !ended);
}
