import { STATUS_CODES } from 'node:http';
import type {
  HttpLimits,
  UpgradeDecision,
  UpgradeHandler,
  WebSocketConnection,
} from './http-server.ts';
import type { UwsBehavior, UwsRequest, UwsResponse, UwsWebSocket } from './uwebsockets-module.ts';
import { Waiters } from './waiters.ts';
import { type HeldSocket, WebSocketSet } from './web-socket-set.ts';

type Accept = Extract<UpgradeDecision, { accept: unknown }>['accept'];

/** What the library keeps for each socket. */
interface SocketData {
  accept: Accept;
  connection?: UwsConnection;
  held?: HeldSocket;
}

/** The WebSocket half of the uWebSockets.js adapter. */
export class UwsWebSockets {
  readonly #decide: UpgradeHandler;
  readonly #limits: HttpLimits;
  readonly #set: WebSocketSet;
  #closing = false;

  constructor(decide: UpgradeHandler, limits: HttpLimits) {
    this.#decide = decide;
    this.#limits = limits;
    this.#set = new WebSocketSet(limits.webSocketPingIntervalMs);
  }

  behavior(compression: number): UwsBehavior {
    return {
      compression,
      maxPayloadLength: this.#limits.webSocketMessageBytes,
      // We ping by ourselves, as in the other adapter, and never let the library drop a message.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      maxBackpressure: 0,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: (socket) => this.#open(socket),
      message: (socket, message, isBinary) => {
        const { held } = dataOf(socket);
        if (held === undefined) return;
        held.alive = true;
        held.handlers.message(Buffer.copyBytesFrom(new Uint8Array(message)), isBinary);
      },
      drain: (socket) => dataOf(socket).connection?.drain(),
      pong: (socket) => {
        const { held } = dataOf(socket);
        if (held !== undefined) held.alive = true;
      },
      close: (socket) => {
        const { held, connection } = dataOf(socket);
        connection?.released();
        if (held === undefined) return;
        this.#set.delete(held);
        held.handlers.close();
      },
    };
  }

  async drain(): Promise<void> {
    this.#closing = true;
    await this.#set.drain();
  }

  terminate(): void {
    this.#set.terminate();
  }

  #upgrade(response: UwsResponse, request: UwsRequest, context: object): void {
    const headers = new Map<string, string>();
    request.forEach((name, value) => headers.set(name, value));
    const decision: UpgradeDecision = this.#closing
      ? { status: 503, headers: {}, body: '' }
      : this.#decide({
          method: request.getCaseSensitiveMethod(),
          path: request.getUrl(),
          query: request.getQuery() ?? '',
          header: (name) => headers.get(name),
        });
    if ('status' in decision) {
      response.writeStatus(`${decision.status} ${STATUS_CODES[decision.status] ?? ''}`);
      for (const [name, value] of Object.entries(decision.headers))
        response.writeHeader(name, value);
      response.end(decision.body, true);
      return;
    }
    const data: SocketData = { accept: decision.accept };
    const [protocol = ''] = (headers.get('sec-websocket-protocol') ?? '').split(',', 1);
    const key = headers.get('sec-websocket-key') ?? '';
    const extensions = headers.get('sec-websocket-extensions') ?? '';
    response.upgrade(data, key, protocol.trim(), extensions, context);
  }

  #open(socket: UwsWebSocket): void {
    const data = dataOf(socket);
    const connection = new UwsConnection(socket, this.#limits.webSocketBufferedBytes);
    const held: HeldSocket = {
      handlers: data.accept(connection),
      alive: true,
      ping: () => connection.open && socket.ping(),
      close: (code, reason) => connection.close(code, reason),
      terminate: () => connection.open && socket.close(),
    };
    data.connection = connection;
    data.held = held;
    this.#set.add(held);
  }
}

function dataOf(socket: UwsWebSocket): SocketData {
  return socket.getUserData() as SocketData;
}

class UwsConnection implements WebSocketConnection {
  readonly #socket: UwsWebSocket;
  readonly #bufferedBytesMax: number;
  readonly #waiters = new Waiters();
  #open = true;

  constructor(socket: UwsWebSocket, bufferedBytesMax: number) {
    this.#socket = socket;
    this.#bufferedBytesMax = bufferedBytesMax;
  }

  get open(): boolean {
    return this.#open;
  }

  get bufferedBytes(): number {
    return this.#open ? this.#socket.getBufferedAmount() : 0;
  }

  send(message: string | Uint8Array): boolean {
    if (!this.#open) return true;
    this.#socket.send(message, typeof message !== 'string');
    return this.bufferedBytes <= this.#bufferedBytesMax;
  }

  drained(): Promise<void> {
    return this.bufferedBytes <= this.#bufferedBytesMax ? Promise.resolve() : this.#waiters.wait();
  }

  close(code: number, reason: string): void {
    if (this.#open) this.#socket.end(code, reason);
  }

  drain(): void {
    if (this.bufferedBytes <= this.#bufferedBytesMax) this.#waiters.wake();
  }

  released(): void {
    this.#open = false;
    this.#waiters.wake();
  }
}
