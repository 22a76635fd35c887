import type { CallHost } from './call-host.ts';
import type { IncomingCall } from './incoming-call.ts';

interface Arrival {
  readonly call: IncomingCall;
  isReady: boolean;
  error: { error: unknown } | undefined;
}

/** The calls of one port whose arguments are on their way, and those behind them: they reach the actor in order. */
export class Arrivals {
  readonly #instance: CallHost;
  #waiting: Arrival[] = [];

  constructor(instance: CallHost) {
    this.#instance = instance;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(call: IncomingCall, missing: Promise<void> | undefined): void {
    const arrival: Arrival = { call, isReady: missing === undefined, error: undefined };
    this.#waiting.push(arrival);
    missing?.then(
      () => this.#arrived(arrival),
      (error: unknown) => {
        arrival.error = { error };
        this.#arrived(arrival);
      },
    );
  }

  #arrived(arrival: Arrival): void {
    arrival.isReady = true;
    for (let first = this.#waiting[0]; first?.isReady === true; first = this.#waiting[0]) {
      this.#waiting.shift();
      const { call, error } = first;
      if (call.answered || call.cancelled) continue;
      if (error === undefined) this.#instance.receive(call);
      else call.refuse(error.error);
    }
  }
}
