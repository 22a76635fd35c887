import {
  createServer,
  IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ClientSignal } from './client-signal.ts';
import {
  AddressInUseError,
  bodyTooLarge,
  ClientGoneError,
  DEFAULT_HTTP_LIMITS,
  type HttpHeaders,
  type HttpLimits,
  type HttpRequest,
  type HttpResponse,
  type HttpServer,
  type HttpServerOptions,
} from './http-server.ts';
import { readTls } from './http-tls.ts';
import { NodeConnections } from './node-connections.ts';
import { NodeWebSockets } from './node-web-sockets.ts';
import { runHandler, splitTarget } from './run-handler.ts';
import { Waiters } from './waiters.ts';

/** What is left of a refused body is read and dropped for this long, so that the refusal is not lost in a reset. */
const LINGER_MS = 5_000;

/** `node:http` and `ws` behind the gateway's HTTP server interface. */
export async function listenNode(options: HttpServerOptions): Promise<HttpServer> {
  const limits = { ...DEFAULT_HTTP_LIMITS, ...options.limits };
  const settings = {
    IncomingMessage: Incoming,
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs, limits.requestTimeoutMs),
    noDelay: true,
  };
  const server = options.tls
    ? createSecureServer({
        ...settings,
        ...readTls(options.tls),
        handshakeTimeout: limits.headersTimeoutMs,
      })
    : createServer(settings);
  const connections = new NodeConnections(server, options.tls !== undefined);
  const state: ServerState = { connections, closing: false };
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse, mustContinue: boolean) =>
    serveRequest({ incoming, outgoing, mustContinue, options, limits, state });
  server.on('request', (incoming, outgoing) => serve(incoming, outgoing, false));
  server.on('checkContinue', (incoming, outgoing) => serve(incoming, outgoing, true));
  server.on('clientError', (error, socket) => refuseMalformed(error, socket, options));
  const sockets = new NodeWebSockets(options.upgrade, limits);
  server.on('upgrade', (incoming, socket, head) => {
    state.connections.began(incoming.socket);
    sockets.upgrade(incoming, socket, head);
  });
  const host = options.host ?? '127.0.0.1';
  await listen(server, host, options.port);
  const { port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    adapter: 'node',
    port,
    close: (close) => (closed ??= closeServer(state, sockets, close?.graceMs ?? 10_000)),
  };
}

/**
 * A request that offers another protocol than WebSocket (`Upgrade: h2c`, as Java's client does with each) is one like any
 * other (RFC 9110, 7.8). Node hands over all that have `upgrade` set, which its parser does.
 */
class Incoming extends IncomingMessage {
  offersUpgrade = false;

  get upgrade(): boolean {
    return this.offersUpgrade && this.headers.upgrade?.toLowerCase() === 'websocket';
  }
  set upgrade(offers: boolean | null) {
    this.offersUpgrade = offers === true;
  }
}

interface ServerState {
  readonly connections: NodeConnections;
  closing: boolean;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE' ? new AddressInUseError(host, port, { cause: error }) : error,
      );
    });
    server.listen(port, host, () => resolve());
  });
}

async function closeServer(
  state: ServerState,
  sockets: NodeWebSockets,
  graceMs: number,
): Promise<void> {
  state.closing = true;
  const ended = state.connections.close();
  let cut: NodeJS.Timeout | undefined;
  const graceOver = new Promise<void>((resolve) => (cut = setTimeout(resolve, graceMs)));
  await Promise.race([Promise.all([sockets.drain(), ended]), graceOver]);
  clearTimeout(cut);
  sockets.terminate();
  state.connections.cut();
  await ended;
}

interface Exchange {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  mustContinue: boolean;
  options: HttpServerOptions;
  limits: HttpLimits;
  state: ServerState;
}

function serveRequest(exchange: Exchange): void {
  const { incoming, outgoing, options, state } = exchange;
  const { socket } = incoming;
  const client = new ClientSignal();
  const request = new NodeRequest(exchange, client);
  const response = new NodeResponse(incoming, outgoing, state);
  state.connections.began(socket);
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) client.abort();
    response.released();
    state.connections.ended(socket);
  });
  runHandler(options, request, response);
}

class NodeRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly #exchange: Exchange;
  readonly #client: ClientSignal;
  #body: Promise<Buffer> | undefined;

  constructor(exchange: Exchange, client: ClientSignal) {
    const { path, query } = splitTarget(exchange.incoming.url ?? '/');
    this.method = exchange.incoming.method ?? 'GET';
    this.path = path;
    this.query = query;
    this.#exchange = exchange;
    this.#client = client;
  }

  header(name: string): string | undefined {
    const value = this.#exchange.incoming.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  get signal(): AbortSignal {
    return this.#client.signal;
  }

  body(): Promise<Buffer> {
    this.#body ??= this.#readBody();
    return this.#body;
  }

  #readBody(): Promise<Buffer> {
    const { incoming, outgoing, limits, mustContinue } = this.#exchange;
    if (Number(incoming.headers['content-length'] ?? 0) > limits.bodyBytes) {
      lingerThenCut(incoming);
      return Promise.reject(bodyTooLarge(limits.bodyBytes));
    }
    if (mustContinue) outgoing.writeContinue();
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= limits.bodyBytes) {
          chunks.push(chunk);
          return;
        }
        chunks.length = 0;
        incoming.removeAllListeners('data');
        lingerThenCut(incoming);
        reject(bodyTooLarge(limits.bodyBytes));
      });
      incoming.on('end', () => {
        isWhole = true;
        const [first] = chunks;
        resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks));
      });
      let isWhole = false;
      const left = (): void => {
        if (!isWhole) reject(new ClientGoneError());
      };
      incoming.on('error', left);
      incoming.on('close', left);
    });
  }
}

/** Reads on without keeping anything; a client that will not stop sending is cut off. */
function lingerThenCut(incoming: IncomingMessage): void {
  const cut = setTimeout(() => incoming.socket.destroy(), LINGER_MS);
  cut.unref();
  incoming.on('close', () => clearTimeout(cut));
  incoming.on('error', () => clearTimeout(cut));
  incoming.resume();
}

class NodeResponse implements HttpResponse {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #state: ServerState;
  readonly #waiters = new Waiters();
  #started = false;

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, state: ServerState) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#state = state;
    outgoing.on('drain', () => this.#waiters.wake());
  }

  get started(): boolean {
    return this.#started;
  }

  get closed(): boolean {
    return this.#outgoing.writableEnded || this.#outgoing.destroyed;
  }

  send(status: number, headers: HttpHeaders, body: string | Uint8Array = ''): void {
    if (this.closed) return;
    this.#started = true;
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (status !== 204) this.#outgoing.setHeader('content-length', bytes);
    this.#writeHead(status, headers);
    this.#outgoing.end(body);
  }

  start(status: number, headers: HttpHeaders): void {
    if (this.closed) return;
    this.#started = true;
    this.#writeHead(status, headers);
    this.#outgoing.flushHeaders();
  }

  write(chunk: string | Uint8Array): boolean {
    if (this.closed || this.#incoming.method === 'HEAD') return true;
    return this.#outgoing.write(chunk);
  }

  drained(): Promise<void> {
    if (this.closed || !this.#outgoing.writableNeedDrain) return Promise.resolve();
    return this.#waiters.wait();
  }

  end(): void {
    if (!this.closed) this.#outgoing.end();
  }

  destroy(): void {
    this.#outgoing.destroy();
  }

  released(): void {
    this.#waiters.wake();
  }

  #writeHead(status: number, headers: HttpHeaders): void {
    if (this.#state.closing) this.#outgoing.setHeader('connection', 'close');
    this.#outgoing.writeHead(status, headers);
  }
}

/** What node's parser refused: too large a head, a request that came too slowly, or no HTTP at all. */
function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  { onRefused }: HttpServerOptions,
): void {
  const status = malformedStatus(error.code);
  // Else the connection has failed, and nobody was refused.
  if (status !== undefined) onRefused?.(status);
  const { bytesWritten } = socket as Socket;
  if (status === undefined || !socket.writable || bytesWritten > 0) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
  );
}

function malformedStatus(code: string | undefined): number | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 408;
  return code?.startsWith('HPE_') === true ? 400 : undefined;
}
