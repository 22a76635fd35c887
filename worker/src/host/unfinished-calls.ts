import type { IncomingCall } from './incoming-call.ts';

export interface CallEnd {
  fulfilled(call: IncomingCall, value: unknown): void;
  rejected(call: IncomingCall, error: unknown): void;
}

/**
 * The calls of an actor whose methods have returned promises. Waiting costs an asynchronous call most of its time, so
 * it is done with bare reactions, on waiters that serve one call after another: no promise and no functions per call.
 */
export class UnfinishedCalls {
  readonly #end: CallEnd;
  readonly #waiters: Waiter[] = [];
  readonly #free: Waiter[] = [];

  constructor(end: CallEnd) {
    this.#end = end;
  }

  /** Tells the end of this call when the promise settles, never before this turn's microtasks. */
  wait(call: IncomingCall, promise: PromiseLike<unknown>): void {
    let waiter = this.#free.pop();
    if (waiter === undefined) {
      waiter = new Waiter(this.#end, this.#free);
      this.#waiters.push(waiter);
    }
    waiter.call = call;
    // As `await` does it: a native promise as it is, anything else through one.
    // oxlint-disable-next-line prefer-await-to-then
    void Promise.resolve(promise).then(waiter.onFulfilled, waiter.onRejected);
  }

  calls(): IncomingCall[] {
    return this.#waiters.flatMap(({ call }) => call ?? []);
  }
}

class Waiter {
  call: IncomingCall | undefined = undefined;
  readonly onFulfilled: (value: unknown) => void;
  readonly onRejected: (error: unknown) => void;

  constructor(end: CallEnd, free: Waiter[]) {
    const take = (): IncomingCall => {
      const call = this.call as IncomingCall;
      this.call = undefined;
      free.push(this);
      return call;
    };
    this.onFulfilled = (value) => end.fulfilled(take(), value);
    this.onRejected = (error) => end.rejected(take(), error);
  }
}
