import type { MantaError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';
import type { ActorCall } from './actor-call.ts';

/** How long a call whose connection broke waits for the head to say what became of the actor. */
const VERDICT_TIMEOUT_MS = 15_000;

/** Calls that were sent, got lost and may not be repeated: what they fail with depends on the head's verdict. */
export class LostCalls {
  readonly #clock: Clock;
  /** Gives the error of a call when the verdict is there, or will not come. */
  readonly #errorOf: (call: ActorCall, reason: MantaError) => MantaError;
  #calls: { call: ActorCall; reason: MantaError }[] = [];
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock, errorOf: (call: ActorCall, reason: MantaError) => MantaError) {
    this.#clock = clock;
    this.#errorOf = errorOf;
  }

  add(call: ActorCall, reason: MantaError): void {
    call.phase = 'lost';
    call.waitsSince = { at: this.#clock.now() };
    this.#calls.push({ call, reason });
    this.#cancelTimer ??= this.#clock.after(VERDICT_TIMEOUT_MS, () => this.settle(), {
      unref: true,
    });
  }

  settle(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const calls = this.#calls;
    this.#calls = [];
    for (const { call, reason } of calls) call.fail(this.#errorOf(call, reason));
  }
}
