import type { Clock } from './clock.ts';

/** One moment that many things share: a number that grows this large would be an object of its own in each. */
export interface Moment {
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The time, read once per turn of the event loop however often it is asked for: for what is noted per call. */
export class TurnClock {
  readonly #clock: Clock;
  #moment: Moment | undefined;
  readonly #turnIsOver = (): void => {
    this.#moment = undefined;
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): Moment {
    if (this.#moment === undefined) {
      this.#moment = { at: this.#clock.now() };
      setImmediate(this.#turnIsOver);
    }
    return this.#moment;
  }
}
