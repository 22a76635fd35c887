import type {
  HttpHandler,
  HttpLimits,
  HttpServer,
  ListenHttp,
  WebSocketConnection,
} from '../http/http-server.ts';

/** A server with one route for each thing the conformance suite looks at, and what was seen on its side. */
export class ConformanceServer implements AsyncDisposable {
  server!: HttpServer;
  readonly errors: unknown[] = [];
  /** Requests whose signal aborted. */
  aborted = 0;
  /** Bytes that `/firehose` has been allowed to write. */
  written = 0;
  bodyErrors: string[] = [];
  readonly sockets: WebSocketConnection[] = [];
  socketsClosed = 0;
  /** Lets `/held` answer. */
  release: () => void = () => undefined;
  /** Lets a WebSocket's drain settle; undefined: at once. */
  socketWork: Promise<void> | undefined;

  static async start(
    listen: ListenHttp,
    limits: Partial<HttpLimits> = {},
  ): Promise<ConformanceServer> {
    const started = new ConformanceServer();
    started.server = await listen({
      port: 0,
      handler: started.#handle,
      upgrade: (request) => {
        if (request.header('authorization') !== 'Bearer yes') {
          return { status: 401, headers: { 'x-why': 'no key' }, body: 'no' };
        }
        return { accept: (socket) => started.#accept(socket) };
      },
      limits,
      onHandlerError: (error) => started.errors.push(error),
    });
    return started;
  }

  get port(): number {
    return this.server.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server.close({ graceMs: 0 });
  }

  #accept(
    socket: WebSocketConnection,
  ): ReturnType<
    Extract<ReturnType<Parameters<ListenHttp>[0]['upgrade']>, { accept: unknown }>['accept']
  > {
    this.sockets.push(socket);
    return {
      message: (message, isBinary) => {
        if (message.toString() === 'flood') this.#flood(socket);
        else if (message.toString() === 'close') socket.close(4001, 'as asked');
        else socket.send(isBinary ? message : message.toString());
      },
      close: () => (this.socketsClosed += 1),
      drain: () => this.socketWork ?? Promise.resolve(),
    };
  }

  /** Sends until told to wait: what a producer that respects back-pressure does. */
  #flood(socket: WebSocketConnection): void {
    const chunk = Buffer.alloc(256 * 1024, 1);
    while (socket.send(chunk)) this.written += chunk.length;
    void socket.drained().then(() => socket.send('drained'));
  }

  readonly #handle: HttpHandler = (request, response) => {
    const answer = ROUTES[request.path];
    if (answer !== undefined) return answer.call(this, request, response);
    return response.send(404, { 'content-type': 'text/plain' }, `nothing at ${request.path}`);
  };
}

const ROUTES: Record<
  string,
  (this: ConformanceServer, ...exchange: Parameters<HttpHandler>) => Promise<void>
> = {
  async '/echo'(request, response) {
    try {
      const body = await request.body();
      const headers = {
        'content-type': 'application/octet-stream',
        'x-method': request.method,
        'x-query': request.query,
        'x-told': request.header('x-tell') ?? '',
      };
      response.send(200, headers, body);
    } catch (error) {
      const { status = 0, name } = error as { status?: number; name: string };
      this.bodyErrors.push(name);
      response.send(status === 0 ? 500 : status, {}, name);
    }
  },

  async '/unread'(_request, response) {
    response.send(401, {}, 'who are you?');
  },

  async '/empty'(_request, response) {
    response.send(204, {});
  },

  async '/text'(_request, response) {
    response.send(200, { 'content-type': 'text/plain; charset=utf-8' }, 'grüße');
  },

  async '/large'(_request, response) {
    response.send(200, {}, Buffer.alloc(8 * 1024 * 1024, 7));
  },

  async '/events'(_request, response) {
    response.start(200, { 'content-type': 'text/event-stream' });
    for (let index = 0; index < 3; index += 1) {
      if (!response.write(`data: ${index}\n\n`)) await response.drained();
    }
    response.end();
  },

  async '/held'(request, response) {
    request.signal.addEventListener('abort', () => (this.aborted += 1));
    await new Promise<void>((resolve) => (this.release = resolve));
    response.send(200, {}, 'at last');
  },

  async '/streaming'(request, response) {
    request.signal.addEventListener('abort', () => (this.aborted += 1));
    response.start(200, {});
    response.write('begun ');
    await new Promise<void>((resolve) => (this.release = resolve));
    response.write('ended');
    response.end();
  },

  async '/firehose'(request, response) {
    const chunk = Buffer.alloc(256 * 1024, 1);
    response.start(200, {});
    while (this.written < 128 * chunk.length && !request.signal.aborted) {
      this.written += chunk.length;
      if (!response.write(chunk)) await response.drained();
    }
    response.end();
  },

  async '/throws'() {
    throw new Error('the handler broke');
  },

  async '/breaks'(_request, response) {
    response.start(200, {});
    response.write('half an ');
    throw new Error('the handler broke');
  },
};
