import type { Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';

/**
 * Whether this head can hear anybody. Silence says nothing about nodes while the broker, or the way to it, does not
 * carry: a connection that is open is no proof, an answer to a recent question is.
 */
export class BrokerContact {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #answerTimeoutMs: number;
  /** Of the question that is not answered yet. */
  #askedAt: number | undefined;

  constructor(means: { transport: Transport; clock: Clock }, answerTimeoutMs: number) {
    this.#transport = means.transport;
    this.#clock = means.clock;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  /** Asks anew when there is an answer to the last question; meant to be called with every tick. */
  check(): boolean {
    const now = this.#clock.now();
    if (this.#askedAt !== undefined) return now - this.#askedAt <= this.#answerTimeoutMs;
    if (this.#transport.status !== 'connected') return false;
    this.#askedAt = now;
    const answered = (): void => {
      this.#askedAt = undefined;
    };
    // A question that failed is asked again with the next tick.
    this.#transport.flush().then(answered, answered);
    return true;
  }
}
