import { ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';
import { NobodyListensError } from './nobody-listens.ts';

interface PendingRequest {
  subject: string;
  resolve(payload: Uint8Array): void;
  reject(error: unknown): void;
}

/**
 * Requests that wait for their reply, by the token at the end of their reply subject. Each ends exactly once: by a
 * reply, by its deadline, by its caller's signal or by the loss of the connection.
 */
export class PendingRequests {
  readonly #clock: Clock;
  readonly #byToken = new Map<string, PendingRequest>();
  #nextToken = 0;
  #whenEmpty: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#byToken.size;
  }

  /** `send` is called with the token before this returns; what it throws rejects the request. */
  start(
    subject: string,
    options: { timeoutMs: number; signal?: AbortSignal },
    send: (token: string) => void,
  ): Promise<Uint8Array> {
    const { timeoutMs, signal } = options;
    return new Promise<Uint8Array>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const token = (this.#nextToken++).toString(36);
      const onAbort = (): void => this.#take(token)?.reject(signal?.reason);
      const cancelTimer = this.#clock.after(timeoutMs, () => {
        this.#take(token)?.reject(
          new ClusterUnavailableError(`No answer on '${subject}' within ${timeoutMs} ms.`),
        );
      });
      const release = (): void => {
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#byToken.set(token, {
        subject,
        resolve: (payload) => (release(), resolve(payload)),
        reject: (error) => (release(), reject(error)),
      });
      try {
        send(token);
      } catch (error) {
        this.#take(token)?.reject(error);
      }
    });
  }

  /** A reply that nobody waits for any more is ignored: its request has ended. */
  reply(token: string, payload: Uint8Array): void {
    this.#take(token)?.resolve(payload);
  }

  noResponders(token: string): void {
    const request = this.#take(token);
    request?.reject(new NobodyListensError(request.subject));
  }

  rejectAll(error: (subject: string) => MantaError): void {
    for (const [token, request] of this.#byToken) {
      this.#take(token);
      request.reject(error(request.subject));
    }
  }

  /** Resolves when nothing waits any more. */
  whenEmpty(): Promise<void> {
    if (this.#byToken.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve);
    });
  }

  #take(token: string): PendingRequest | undefined {
    const request = this.#byToken.get(token);
    if (request === undefined) return undefined;
    this.#byToken.delete(token);
    if (this.#byToken.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    return request;
  }
}
