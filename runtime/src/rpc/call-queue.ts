import type { TurnClock } from '../time/turn-clock.ts';
import type { ActorCall } from './actor-call.ts';

/**
 * The calls of one caller that are not under way, in the order in which they must leave: first those that were sent
 * once and have to be sent again, in their old order, then the others as they were made.
 */
export class CallQueue {
  readonly #clock: TurnClock;
  #calls: ActorCall[] = [];
  /** Index of the first that has not left. */
  #head = 0;
  #resend: ActorCall[] = [];

  constructor(clock: TurnClock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#head === this.#calls.length && this.#resend.length === 0;
  }

  /** The first call that waits for its dependencies: it holds back those behind it. */
  get blocker(): ActorCall | undefined {
    return this.#calls.slice(this.#head).find(isBlocked);
  }

  /** In the order in which they leave. */
  waiting(): ActorCall[] {
    return [...this.#resend, ...this.#calls.slice(this.#head)].filter(
      ({ phase }) => phase !== 'done',
    );
  }

  push(call: ActorCall): void {
    call.waitsSince = this.#clock.now();
    this.#calls.push(call);
  }

  /** What `take` gave waits for an argument that is being made again: it is the first again. */
  putBack(call: ActorCall): void {
    call.waitsSince = this.#clock.now();
    this.#calls = [call, ...this.#calls.slice(this.#head)];
    this.#head = 0;
  }

  /** The call was sent and goes again. */
  requeue(call: ActorCall): void {
    call.phase = 'queued';
    call.waitsSince = this.#clock.now();
    this.#resend.push(call);
  }

  /** Takes the call that may leave now. With `anyOrder` calls that wait for dependencies are passed by. */
  take(anyOrder: boolean): ActorCall | undefined {
    if (this.#resend.length > 0) {
      this.#calls = [
        ...this.#resend.sort((a, b) => a.number - b.number),
        ...this.#calls.slice(this.#head),
      ];
      this.#resend = [];
      this.#head = 0;
    }
    while (this.#head < this.#calls.length) {
      const call = this.#calls[this.#head] as ActorCall;
      if (isBlocked(call)) return anyOrder ? this.#takeReady() : undefined;
      this.#head += 1;
      if (call.phase === 'queued') return call;
    }
    this.#calls = [];
    this.#head = 0;
    return undefined;
  }

  #takeReady(): ActorCall | undefined {
    this.#calls = this.#calls.slice(this.#head).filter((call) => call.phase !== 'done');
    this.#head = 0;
    const index = this.#calls.findIndex((call) => !isBlocked(call));
    return index === -1 ? undefined : this.#calls.splice(index, 1)[0];
  }

  /** Takes everything, in order. */
  clear(): ActorCall[] {
    const all = this.waiting();
    this.#resend = [];
    this.#calls = [];
    this.#head = 0;
    return all;
  }
}

const isBlocked = (call: ActorCall): boolean => call.phase === 'waiting-for-dependencies';
