import type { MantaError } from '../errors/errors.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { SourceFailure } from './blob-sources.ts';

export interface PullPlanSettings {
  sizeBytes: number;
  chunkBytes: number;
  /** Chunks that may be asked for and not have come. */
  windowChunks: number;
  /** A source that sends so many chunks with a wrong length or checksum is given up. */
  corruptChunksMax: number;
}

export type PullEvent =
  | { type: 'start' }
  | { type: 'source'; agent: ProcessAddress }
  /** `attempt`: of the source that was asked; what an earlier one did does not count. */
  | { type: 'chunk'; attempt: number; index: number; isSound: boolean }
  | { type: 'source-failed'; attempt: number; failure: SourceFailure; reason?: string }
  /** The owner is gone, or has no source for us, or the sink failed. */
  | { type: 'refused'; error: MantaError };

export type PullEffect =
  | { type: 'ask-source' }
  | { type: 'request'; attempt: number; agent: ProcessAddress; chunk: Chunk }
  /** Nothing more is wanted from this source; the owner is told why. */
  | {
      type: 'give-up-source';
      agent: ProcessAddress;
      failure: SourceFailure;
      reason?: string | undefined;
    }
  | { type: 'finished' }
  | { type: 'failed'; error: MantaError };

export interface Chunk {
  index: number;
  offset: number;
  bytes: number;
}

/**
 * Decides a pull of one blob: what to ask of whom, and what after a failure. Chunks that have come stay, so another
 * source is asked only for those that are missing.
 *
 *              1 start              2 source                3 last chunk
 *     (new) ──────────▶ asking ─────────────────▶ pulling ───────────────▶ done
 *                         ▲ │                       │ │ ▲
 *                         │ │ 5 refused             │ │ └─ 4 a chunk: the next is asked for; a corrupt one anew
 *                         │ ▼                       │ │
 *                         │ failed ◀── 5 refused ───┘ │
 *                         └─────── 6 source-failed, or too many corrupt chunks
 */
export class PullPlan {
  readonly #settings: PullPlanSettings;
  readonly chunkCount: number;
  #phase: 'new' | 'asking' | 'pulling' | 'done' | 'failed' = 'new';
  #agent: ProcessAddress | undefined;
  #attempt = 0;
  #corrupt = 0;
  #received = 0;
  /** Chunks from here on were never asked for. */
  #next = 0;
  /** Asked for, but they did not come; they go first. */
  #again: number[] = [];
  readonly #inFlight = new Set<number>();

  constructor(settings: PullPlanSettings) {
    this.#settings = settings;
    this.chunkCount = Math.ceil(settings.sizeBytes / settings.chunkBytes);
  }

  get phase(): 'new' | 'asking' | 'pulling' | 'done' | 'failed' {
    return this.#phase;
  }
  get attempt(): number {
    return this.#attempt;
  }
  get inFlight(): number {
    return this.#inFlight.size;
  }
  get receivedChunks(): number {
    return this.#received;
  }

  step(event: PullEvent): PullEffect[] {
    if (this.#phase === 'done' || this.#phase === 'failed') return [];
    switch (event.type) {
      case 'start':
        return this.#ask();
      case 'source':
        return this.#phase === 'asking' ? this.#begin(event.agent) : [];
      case 'chunk':
        return this.#isCurrent(event.attempt) && this.#inFlight.delete(event.index)
          ? this.#take(event.index, event.isSound)
          : [];
      case 'source-failed':
        return this.#isCurrent(event.attempt)
          ? this.#giveUpSource(event.failure, event.reason)
          : [];
      case 'refused':
        this.#phase = 'failed';
        return [{ type: 'failed', error: event.error }];
    }
  }

  #isCurrent(attempt: number): boolean {
    return this.#phase === 'pulling' && attempt === this.#attempt;
  }

  #ask(): PullEffect[] {
    this.#phase = 'asking';
    return [{ type: 'ask-source' }];
  }

  #begin(agent: ProcessAddress): PullEffect[] {
    this.#phase = 'pulling';
    this.#agent = agent;
    this.#attempt += 1;
    this.#corrupt = 0;
    return this.#received === this.chunkCount ? this.#finish() : this.#fillWindow(agent);
  }

  #take(index: number, isSound: boolean): PullEffect[] {
    if (isSound) {
      this.#received += 1;
      if (this.#received === this.chunkCount) return this.#finish();
    } else {
      this.#again.push(index);
      this.#corrupt += 1;
      if (this.#corrupt >= this.#settings.corruptChunksMax)
        return this.#giveUpSource('unreachable');
    }
    return this.#agent === undefined ? [] : this.#fillWindow(this.#agent);
  }

  #finish(): PullEffect[] {
    this.#phase = 'done';
    return [{ type: 'finished' }];
  }

  #fillWindow(agent: ProcessAddress): PullEffect[] {
    const effects: PullEffect[] = [];
    const { chunkBytes, sizeBytes, windowChunks } = this.#settings;
    while (this.#inFlight.size < windowChunks) {
      const index = this.#again.shift() ?? this.#neverAsked();
      if (index === undefined) break;
      this.#inFlight.add(index);
      const offset = index * chunkBytes;
      const bytes = Math.min(chunkBytes, sizeBytes - offset);
      const chunk = { index, offset, bytes };
      effects.push({ type: 'request', attempt: this.#attempt, agent, chunk });
    }
    return effects;
  }

  #neverAsked(): number | undefined {
    return this.#next < this.chunkCount ? this.#next++ : undefined;
  }

  #giveUpSource(failure: SourceFailure, reason?: string): PullEffect[] {
    const agent = this.#agent;
    this.#again.push(...this.#inFlight);
    this.#again.sort((a, b) => a - b);
    this.#inFlight.clear();
    this.#agent = undefined;
    const effects = this.#ask();
    if (agent === undefined) return effects;
    return [{ type: 'give-up-source', agent, failure, reason }, ...effects];
  }
}
