import type { Exchange } from './exchange.ts';

/** A comment after this much silence keeps proxies, and uWebSockets.js with its 10 s, from closing a slow stream. */
const KEEP_ALIVE_MS = 5_000;

/** An answer as `text/event-stream`: JSON in unnamed `data:` events. */
export class ServerSentEvents {
  readonly #exchange: Exchange;
  readonly #keepAlive: NodeJS.Timeout;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    exchange.start(200, 'text/event-stream; charset=utf-8');
    this.#keepAlive = setInterval(() => exchange.response.write(': keep-alive\n\n'), KEEP_ALIVE_MS);
  }

  /** Settles when the client can take more. */
  async send(value: unknown): Promise<void> {
    const { response } = this.#exchange;
    this.#keepAlive.refresh();
    if (!response.write(`data: ${JSON.stringify(value)}\n\n`)) await response.drained();
  }

  /** The stream is complete: only then does a client see `[DONE]`. */
  complete(): void {
    clearInterval(this.#keepAlive);
    this.#exchange.response.write('data: [DONE]\n\n');
    this.#exchange.response.end();
  }

  /** The stream broke: the failure is its last event. */
  break(failure: unknown): void {
    clearInterval(this.#keepAlive);
    this.#exchange.response.write(`data: ${JSON.stringify(failure)}\n\n`);
    this.#exchange.response.end();
  }
}
