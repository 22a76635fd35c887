import { ClientSignal } from './client-signal.ts';
import {
  bodyTooLarge,
  ClientGoneError,
  HttpError,
  type HttpLimits,
  type HttpRequest,
} from './http-server.ts';
import type { UwsRequest, UwsResponse } from './uwebsockets-module.ts';

/** A copy of what the library lends for one callback, and the body, which must be collected from the first turn on. */
export class UwsHttpRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** The status for a head that the library lets through and we do not. */
  readonly refusal: 400 | 431 | undefined;
  readonly #headers = new Map<string, string>();
  readonly #client = new ClientSignal();
  readonly #limits: HttpLimits;
  readonly #body: Promise<Buffer>;
  #settle!: { resolve: (body: Buffer) => void; reject: (error: Error) => void };
  #chunks: Buffer[] | undefined = [];
  #bytes = 0;
  #timeout: NodeJS.Timeout | undefined;

  constructor(native: UwsResponse, incoming: UwsRequest, limits: HttpLimits) {
    this.method = incoming.getCaseSensitiveMethod();
    this.path = incoming.getUrl();
    this.query = incoming.getQuery() ?? '';
    let headerBytes = 0;
    let refusal: 400 | 431 | undefined;
    incoming.forEach((name, value) => {
      const before = this.#headers.get(name);
      headerBytes += name.length + value.length;
      // Two lengths are how requests are smuggled past a proxy; the library takes the first.
      if (before !== undefined && name === 'content-length') refusal = 400;
      this.#headers.set(name, before === undefined ? value : `${before}, ${value}`);
    });
    if (headerBytes > limits.headerBytes) refusal = 431;
    this.refusal = refusal;
    this.#limits = limits;
    this.#body = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Whoever asks for the body sees the rejection; many never ask.
    this.#body.catch(() => undefined);
    if (Number(this.#headers.get('content-length') ?? 0) > limits.bodyBytes) {
      this.#fail(bodyTooLarge(limits.bodyBytes));
    }
    native.onData((chunk, isLast) => this.#receive(chunk, isLast));
  }

  header(name: string): string | undefined {
    return this.#headers.get(name);
  }

  get signal(): AbortSignal {
    return this.#client.signal;
  }

  body(): Promise<Buffer> {
    return this.#body;
  }

  aborted(): void {
    this.#client.abort();
    this.#fail(new ClientGoneError());
  }

  /** The answer is out: what still comes of the body is dropped. */
  ended(): void {
    this.#chunks = undefined;
    clearTimeout(this.#timeout);
  }

  /** `chunk` is lent until this returns. */
  #receive(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.#chunks === undefined) return;
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#limits.bodyBytes) {
      this.#fail(bodyTooLarge(this.#limits.bodyBytes));
      return;
    }
    this.#chunks.push(Buffer.copyBytesFrom(new Uint8Array(chunk)));
    if (isLast) {
      clearTimeout(this.#timeout);
      const [first] = this.#chunks;
      const whole = this.#chunks.length === 1 && first !== undefined;
      this.#settle.resolve(whole ? first : Buffer.concat(this.#chunks));
    } else {
      this.#timeout ??= setTimeout(
        () => this.#fail(new HttpError(408, 'the request body did not arrive in time')),
        this.#limits.requestTimeoutMs,
      );
    }
  }

  #fail(error: Error): void {
    this.ended();
    this.#settle.reject(error);
  }
}
