import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type {
  HttpLimits,
  UpgradeHandler,
  WebSocketConnection,
  WebSocketHandlers,
} from './http-server.ts';
import { splitTarget } from './run-handler.ts';
import { Waiters } from './waiters.ts';
import { type HeldSocket, WebSocketSet } from './web-socket-set.ts';

/** How long a socket that was asked to close may take before it is cut. */
const CLOSE_TIMEOUT_MS = 2_000;

/** The WebSocket half of the node adapter. */
export class NodeWebSockets {
  readonly #decide: UpgradeHandler;
  readonly #limits: HttpLimits;
  readonly #server: WebSocketServer;
  readonly #set: WebSocketSet;
  #closing = false;

  constructor(decide: UpgradeHandler, limits: HttpLimits) {
    this.#decide = decide;
    this.#limits = limits;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: limits.webSocketMessageBytes,
      perMessageDeflate: false,
    });
    this.#set = new WebSocketSet(limits.webSocketPingIntervalMs);
  }

  upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (this.#closing) return refuse(socket, 503, {}, '');
    const decision = this.#decide({
      method: incoming.method ?? 'GET',
      ...splitTarget(incoming.url ?? '/'),
      header: (name) => {
        const value = incoming.headers[name];
        return Array.isArray(value) ? value.join(', ') : value;
      },
    });
    if ('status' in decision)
      return refuse(socket, decision.status, decision.headers, decision.body);
    this.#server.handleUpgrade(incoming, socket, head, (webSocket) => {
      this.#hold(webSocket, decision.accept);
    });
  }

  async drain(): Promise<void> {
    this.#closing = true;
    await this.#set.drain();
  }

  terminate(): void {
    this.#set.terminate();
    this.#server.close();
  }

  #hold(webSocket: WebSocket, accept: (socket: WebSocketConnection) => WebSocketHandlers): void {
    const connection = new NodeConnection(webSocket, this.#limits.webSocketBufferedBytes);
    const handlers = accept(connection);
    const held: HeldSocket = {
      handlers,
      alive: true,
      ping: () => webSocket.ping(),
      close: (code, reason) => connection.close(code, reason),
      terminate: () => webSocket.terminate(),
    };
    this.#set.add(held);
    webSocket.on('pong', () => (held.alive = true));
    webSocket.on('message', (data, isBinary) => {
      held.alive = true;
      handlers.message(data as Buffer, isBinary);
    });
    // A protocol error or a reset: `ws` answers it, and the close event that follows is where we act.
    webSocket.on('error', () => undefined);
    webSocket.on('close', () => {
      this.#set.delete(held);
      connection.released();
      handlers.close();
    });
  }
}

class NodeConnection implements WebSocketConnection {
  readonly #webSocket: WebSocket;
  readonly #bufferedBytesMax: number;
  readonly #waiters = new Waiters();

  constructor(webSocket: WebSocket, bufferedBytesMax: number) {
    this.#webSocket = webSocket;
    this.#bufferedBytesMax = bufferedBytesMax;
  }

  get open(): boolean {
    return this.#webSocket.readyState === WebSocket.OPEN;
  }

  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  send(message: string | Uint8Array): boolean {
    if (!this.open) return true;
    this.#webSocket.send(message, { binary: typeof message !== 'string' }, () => {
      if (this.bufferedBytes <= this.#bufferedBytesMax) this.#waiters.wake();
    });
    return this.bufferedBytes <= this.#bufferedBytesMax;
  }

  drained(): Promise<void> {
    if (!this.open || this.bufferedBytes <= this.#bufferedBytesMax) return Promise.resolve();
    return this.#waiters.wait();
  }

  close(code: number, reason: string): void {
    if (!this.open) return;
    this.#webSocket.close(code, reason);
    const cut = setTimeout(() => this.#webSocket.terminate(), CLOSE_TIMEOUT_MS);
    cut.unref();
    this.#webSocket.on('close', () => clearTimeout(cut));
  }

  released(): void {
    this.#waiters.wake();
  }
}

function refuse(
  socket: Duplex,
  status: number,
  headers: Record<string, string>,
  body: string,
): void {
  const lines = Object.entries({
    ...headers,
    connection: 'close',
    'content-length': String(Buffer.byteLength(body)),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}
