import type { WebSocketHandlers } from './http-server.ts';

/** What the set needs of an adapter's socket. */
export interface HeldSocket {
  readonly handlers: WebSocketHandlers;
  /** Set when anything arrived since the last ping. */
  alive: boolean;
  ping(): unknown;
  close(code: number, reason: string): void;
  terminate(): unknown;
}

/** The open sockets of one server: pings them, drops those that do not answer, and drains them at the end. */
export class WebSocketSet {
  readonly #sockets = new Set<HeldSocket>();
  readonly #timer: NodeJS.Timeout;

  constructor(pingIntervalMs: number) {
    this.#timer = setInterval(() => this.#pingAll(), pingIntervalMs);
    this.#timer.unref();
  }

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: HeldSocket): void {
    this.#sockets.add(socket);
  }

  delete(socket: HeldSocket): void {
    this.#sockets.delete(socket);
  }

  /** Settles when every socket has finished its work; each is then asked to close. */
  async drain(): Promise<void> {
    await Promise.all(
      [...this.#sockets].map(async (socket) => {
        await socket.handlers.drain();
        socket.close(1001, 'the server is closing');
      }),
    );
  }

  terminate(): void {
    clearInterval(this.#timer);
    for (const socket of [...this.#sockets]) socket.terminate();
  }

  #pingAll(): void {
    for (const socket of [...this.#sockets]) {
      if (!socket.alive) {
        socket.terminate();
        continue;
      }
      socket.alive = false;
      socket.ping();
    }
  }
}
