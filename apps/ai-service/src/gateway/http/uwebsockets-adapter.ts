import { STATUS_CODES } from 'node:http';
import {
  AddressInUseError,
  DEFAULT_HTTP_LIMITS,
  type HttpHeaders,
  type HttpResponse,
  type HttpServer,
  type HttpServerOptions,
} from './http-server.ts';
import { readTls, type HttpTls } from './http-tls.ts';
import { runHandler } from './run-handler.ts';
import { UwsHttpRequest } from './uwebsockets-request.ts';
import type { UwsApp, UwsListenSocket, UwsModule, UwsResponse } from './uwebsockets-module.ts';
import { UwsWebSockets } from './uwebsockets-web-sockets.ts';
import { Waiters } from './waiters.ts';

/** uWebSockets.js behind the gateway's HTTP server interface. `uws` comes from `loadUwebsockets`. */
export async function listenUwebsockets(
  uws: UwsModule,
  options: HttpServerOptions,
): Promise<HttpServer> {
  const limits = { ...DEFAULT_HTTP_LIMITS, ...options.limits };
  const host = options.host ?? '127.0.0.1';
  const state = new ServerState();
  const sockets = new UwsWebSockets(options.upgrade, limits);
  const app = createApp(uws, options.tls);
  app.ws('/*', sockets.behavior(uws.DISABLED));
  app.any('/*', (native, incoming) => {
    const request = new UwsHttpRequest(native, incoming, limits);
    if (request.refusal !== undefined) {
      native.writeStatus(`${request.refusal} ${STATUS_CODES[request.refusal]}`).end('', true);
      return;
    }
    const response = new UwsHttpResponse(native, request, state);
    native.onAborted(() => {
      request.aborted();
      response.aborted();
    });
    runHandler(options, request, response);
  });
  const listener = await new Promise<UwsListenSocket>((resolve, reject) => {
    app.listen(host, options.port, uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
      // The library does not say why; the port being taken is what happens.
      if (socket === false) reject(new AddressInUseError(host, options.port));
      else resolve(socket);
    });
  });
  const close = async (graceMs: number): Promise<void> => {
    state.closing = true;
    uws.us_listen_socket_close(listener);
    let cut: NodeJS.Timeout | undefined;
    const graceOver = new Promise<void>((resolve) => (cut = setTimeout(resolve, graceMs)));
    await Promise.race([Promise.all([state.idle(), sockets.drain()]), graceOver]);
    clearTimeout(cut);
    sockets.terminate();
    app.close();
  };
  let closed: Promise<void> | undefined;
  return {
    adapter: 'uwebsockets',
    port: uws.us_socket_local_port(listener),
    close: (closing) => (closed ??= close(closing?.graceMs ?? 10_000)),
  };
}

/** @throws InvalidArgumentError where the library would go on without a certificate. */
function createApp(uws: UwsModule, tls: HttpTls | undefined): UwsApp {
  if (tls === undefined) return uws.App();
  readTls(tls);
  return uws.SSLApp({ cert_file_name: tls.certificateFile, key_file_name: tls.keyFile });
}

/** How many answers are under way, so that a closing server knows when the last has left. */
class ServerState {
  closing = false;
  #ongoing = 0;
  readonly #waiters = new Waiters();

  began(): void {
    this.#ongoing += 1;
  }

  ended(): void {
    this.#ongoing -= 1;
    if (this.#ongoing === 0) this.#waiters.wake();
  }

  idle(): Promise<void> {
    return this.#ongoing === 0 ? Promise.resolve() : this.#waiters.wait();
  }
}

class UwsHttpResponse implements HttpResponse {
  readonly #native: UwsResponse;
  readonly #request: UwsHttpRequest;
  readonly #state: ServerState;
  readonly #waiters = new Waiters();
  #started = false;
  #closed = false;
  /** Nothing may touch the native response once it is over. */
  #over = false;
  #blocked = false;

  constructor(native: UwsResponse, request: UwsHttpRequest, state: ServerState) {
    this.#native = native;
    this.#request = request;
    this.#state = state;
    state.began();
  }

  get started(): boolean {
    return this.#started;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(status: number, headers: HttpHeaders, body: string | Uint8Array = ''): void {
    if (this.#closed) return;
    this.#started = true;
    this.#closed = true;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.#native.cork(() => {
      this.#writeHead(status, headers);
      if (this.#request.method === 'HEAD' || status === 204) {
        // By hand: told of a length that it does not send, the library never frees the connection.
        if (status !== 204) this.#native.writeHeader('content-length', String(bytes.byteLength));
        this.#native.endWithoutBody();
        this.#finish();
      } else if (bytes.byteLength === 0) {
        this.#native.end(bytes, this.#state.closing);
        this.#finish();
      } else {
        this.#sendBody(bytes);
      }
    });
  }

  start(status: number, headers: HttpHeaders): void {
    if (this.#closed) return;
    this.#started = true;
    this.#native.onWritable(() => {
      this.#blocked = false;
      this.#waiters.wake();
      if (this.#closed) this.#endStream();
      return true;
    });
    this.#native.cork(() => this.#writeHead(status, headers));
  }

  write(chunk: string | Uint8Array): boolean {
    // An empty chunk would end the chunked body.
    if (this.#closed || this.#request.method === 'HEAD' || chunk.length === 0) return true;
    this.#native.cork(() => {
      this.#blocked = !this.#native.write(chunk);
    });
    return !this.#blocked;
  }

  drained(): Promise<void> {
    return this.#closed || !this.#blocked ? Promise.resolve() : this.#waiters.wait();
  }

  /** What is still unsent leaves first, so that a closing server does not cut it. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#blocked) this.#endStream();
  }

  destroy(): void {
    if (this.#over) return;
    this.#native.close();
  }

  aborted(): void {
    this.#closed = true;
    this.#waiters.wake();
    if (!this.#over) this.#finish();
  }

  #sendBody(bytes: Uint8Array): void {
    const start = this.#native.getWriteOffset();
    const [, done] = this.#native.tryEnd(bytes, bytes.byteLength);
    if (done) {
      this.#finish();
      return;
    }
    this.#native.onWritable((offset) => {
      const [ok, over] = this.#native.tryEnd(bytes.subarray(offset - start), bytes.byteLength);
      if (over) this.#finish();
      return ok;
    });
  }

  #endStream(): void {
    if (this.#over) return;
    this.#native.cork(() => {
      if (this.#request.method === 'HEAD') this.#native.endWithoutBody();
      else this.#native.end(undefined, this.#state.closing);
    });
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#request.ended();
    this.#state.ended();
  }

  #writeHead(status: number, headers: HttpHeaders): void {
    this.#native.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    for (const name of Object.keys(headers)) this.#native.writeHeader(name, headers[name] ?? '');
  }
}
