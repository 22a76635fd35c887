/**
 * The one HTTP server that the gateway knows. Two adapters implement it (`node-adapter`, `uwebsockets-adapter`) and one
 * suite holds for both (`http-server-conformance`). Small on purpose: the gateway adds well under a millisecond to a
 * model call, so nothing here allocates what a request may not need.
 */

import type { HttpTls } from './http-tls.ts';

/** What a server accepts, enforced by the server itself. Sizes are in bytes. */
export interface HttpLimits {
  /** A larger body is refused with 413. Default 64 MiB. */
  bodyBytes: number;
  /** A larger request head is refused with 431. Default 16 KiB. */
  headerBytes: number;
  /** The request head must have arrived by then. Default 10 000. Fixed at 10 000 in uWebSockets.js. */
  headersTimeoutMs: number;
  /** The whole request must have arrived by then; else 408. Default 120 000. */
  requestTimeoutMs: number;
  /** An idle connection is closed after this. Default 65 000. Fixed at 10 000 in uWebSockets.js. */
  keepAliveTimeoutMs: number;
  /** A larger message closes its socket. Default 64 MiB. */
  webSocketMessageBytes: number;
  /** Above this much unsent data `send` answers false and `drained` waits. Default 1 MiB. */
  webSocketBufferedBytes: number;
  /** A socket that does not answer a ping before the next one is closed. Default 20 000. */
  webSocketPingIntervalMs: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  bodyBytes: 64 * MIB,
  headerBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  keepAliveTimeoutMs: 65_000,
  webSocketMessageBytes: 64 * MIB,
  webSocketBufferedBytes: MIB,
  webSocketPingIntervalMs: 20_000,
};

export interface HttpRequest {
  /** As sent: GET, POST, … */
  readonly method: string;
  /** As sent, still percent-encoded, without the query. */
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
  /** `name` in lower case. */
  header(name: string): string | undefined;
  /** Aborts when the client leaves before its answer is complete. */
  readonly signal: AbortSignal;
  /**
   * The whole body, read on first use, so that a request that is refused for its head costs no memory.
   * @throws HttpError 413, 408; ClientGoneError.
   */
  body(): Promise<Buffer>;
}

export type HttpHeaders = Record<string, string>;

/** Either one `send`, or `start`, any number of `write`s and an `end`. Calls after the client left do nothing. */
export interface HttpResponse {
  /** True once `send` or `start` was called. */
  readonly started: boolean;
  /** True once it is complete or the client has left. */
  readonly closed: boolean;
  send(status: number, headers: HttpHeaders, body?: string | Uint8Array): void;
  start(status: number, headers: HttpHeaders): void;
  /** False: the client reads slower than we write; await `drained` before the next. */
  write(chunk: string | Uint8Array): boolean;
  /** Settles when there is room again or the client has left. Never rejects. */
  drained(): Promise<void>;
  end(): void;
  /** Cuts the connection, so that the client sees an answer that is not complete. */
  destroy(): void;
}

export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void | Promise<void>;

export interface WebSocketConnection {
  readonly open: boolean;
  /** Bytes accepted by `send` that have not left yet. */
  readonly bufferedBytes: number;
  /** Text for a string, binary for bytes. False: await `drained` before the next. */
  send(message: string | Uint8Array): boolean;
  /** Settles when there is room again or the socket has closed. Never rejects. */
  drained(): Promise<void>;
  close(code: number, reason: string): void;
}

export interface WebSocketHandlers {
  /** `message` belongs to the receiver. */
  message(message: Buffer, isBinary: boolean): void;
  /** Called once, whoever closed. */
  close(): void;
  /** The server is closing: settles when the work on this socket is done. The server then closes it with 1001. */
  drain(): Promise<void>;
}

/** Decided before the upgrade: the refused get a plain HTTP answer and never hold a socket. */
export type UpgradeDecision =
  | { accept: (socket: WebSocketConnection) => WebSocketHandlers }
  | { status: number; headers: HttpHeaders; body: string };

export type UpgradeHandler = (request: Omit<HttpRequest, 'body' | 'signal'>) => UpgradeDecision;

export interface HttpServerOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** 0 takes a free one. */
  port: number;
  /** Serves HTTPS alone. Default: HTTP. */
  tls?: HttpTls | undefined;
  handler: HttpHandler;
  upgrade: UpgradeHandler;
  limits?: Partial<HttpLimits>;
  /** The handler threw or rejected: its client got a 500, or a cut answer if it had begun. */
  onHandlerError: (error: unknown) => void;
  /** Told of requests that the server's own parser refused with this status, so that no handler saw them. */
  onRefused?: (status: number) => void;
}

export interface HttpServer {
  readonly adapter: 'node' | 'uwebsockets';
  readonly port: number;
  /** Accepts nothing new, lets what runs finish for `graceMs` (default 10 000), then cuts the rest. Idempotent. */
  close(options?: { graceMs?: number }): Promise<void>;
}

/** Resolves once the server listens. @throws AddressInUseError, or the system's error. */
export type ListenHttp = (options: HttpServerOptions) => Promise<HttpServer>;

/** A refusal with the status that the client gets. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The client closed the connection before its answer was complete. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
  constructor() {
    super('the client closed the connection');
  }
}

export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError';
  constructor(host: string, port: number, options?: ErrorOptions) {
    super(`${host}:${port} is already in use`, options);
  }
}

export function bodyTooLarge(limitBytes: number): HttpError {
  return new HttpError(413, `the request body is larger than ${limitBytes} bytes`);
}
