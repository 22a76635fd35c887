import { randomUUID } from 'node:crypto';
import { parseJson } from './body.ts';
import { type Failure, failureOf } from './failure.ts';
import type { HttpHeaders, HttpRequest, HttpResponse } from './http/http-server.ts';
import type { ServedModel } from './model-registry.ts';
import { RequestError } from './request-error.ts';

export interface TokenUsage {
  promptTokens: number;
  completionTokens: number;
}

/** What all exchanges of a gateway share. */
export interface GatewayLife {
  /** The time that streams had to end is nearly over. */
  isStopping: boolean;
}

/** A protocol's way to write a failure into a body. */
export type FailureFormat = (failure: Failure) => unknown;

/** An id from the client is kept if it is short and printable, so that it is harmless in headers and logs. */
const SANE_REQUEST_ID = /^[\w.:+/=-]{1,128}$/;

export function requestIdFor(request: Pick<HttpRequest, 'header'>): string {
  const offered = request.header('x-request-id');
  return offered !== undefined && SANE_REQUEST_ID.test(offered) ? offered : `req_${randomUUID()}`;
}

/** One request on its way through the gateway: its id, its clock, and the headers that every answer carries. */
export class Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly requestId: string;
  readonly failureFormat: FailureFormat;
  readonly life: Readonly<GatewayLife>;
  /** What was answered; 0 until then. For the log and the counters. */
  status = 0;
  /** What a model read and wrote for this request, also when it did not complete. */
  usage: TokenUsage | undefined;
  /** The gateway's own time until the answer began; of inference only. */
  overheadMs: number | undefined;
  readonly #startedAt = performance.now();
  #modelMs = 0;
  #model: ServedModel | undefined;

  constructor(
    request: HttpRequest,
    response: HttpResponse,
    failureFormat: FailureFormat,
    life: GatewayLife,
  ) {
    this.life = life;
    this.request = request;
    this.response = response;
    this.failureFormat = failureFormat;
    this.requestId = requestIdFor(request);
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  get model(): ServedModel | undefined {
    return this.#model;
  }

  /** Answers from here on name the model that served them. */
  serveWith(model: ServedModel): void {
    this.#model = model;
  }

  /** Waits for a model; the time does not count as the gateway's own. */
  async timed<T>(work: Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await work;
    } finally {
      this.#modelMs += performance.now() - startedAt;
    }
  }

  async json(): Promise<unknown> {
    return parseJson(await this.body());
  }

  /** @throws RequestError 415 for a coded one; and what `HttpRequest.body` throws. */
  body(): Promise<Buffer> {
    const coding = this.request.header('content-encoding') ?? 'identity';
    if (coding === 'identity') return this.request.body();
    throw new RequestError(415, `a body is taken as it is, not coded as ${coding}`);
  }

  sendJson(status: number, value: unknown): void {
    this.send(status, JSON.stringify(value), 'application/json');
  }

  send(status: number, body: string | Uint8Array, contentType: string, more?: HttpHeaders): void {
    this.status = status;
    const headers = this.#headers(contentType);
    if (more !== undefined) Object.assign(headers, more);
    this.response.send(status, headers, body);
  }

  /** The head of an answer whose body follows piece by piece. */
  start(status: number, contentType: string): void {
    this.status = status;
    this.response.start(status, { ...this.#headers(contentType), 'cache-control': 'no-cache' });
  }

  /** Answers with the failure if nothing was answered yet. */
  fail(error: unknown): void {
    const failure = failureOf(error);
    if (this.response.started) {
      if (!this.response.closed) this.response.destroy();
      this.status = failure.status;
      return;
    }
    const more: HttpHeaders = {};
    if (failure.retryAfterSeconds !== undefined)
      more['retry-after'] = String(failure.retryAfterSeconds);
    if (failure.status === 401) more['www-authenticate'] = 'Bearer';
    if (failure.allow !== undefined) more['allow'] = failure.allow;
    const body = JSON.stringify(this.failureFormat(failure));
    this.send(failure.status, body, 'application/json', more);
  }

  #headers(contentType: string): HttpHeaders {
    const headers: HttpHeaders = { 'content-type': contentType, 'x-request-id': this.requestId };
    if (this.#model !== undefined) {
      headers['x-manta-model'] = this.#model.id;
      headers['x-manta-route'] = 'direct';
      this.overheadMs = Math.max(0, this.elapsedMs - this.#modelMs);
      headers['x-manta-overhead-ms'] = this.overheadMs.toFixed(3);
    }
    return headers;
  }
}
