import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';

/**
 * The connections of one server, and which of them are in use. `node:http` has `closeIdleConnections`, but takes a
 * connection for idle as soon as its answer was handed over, and would cut what has not left yet.
 */
export class NodeConnections {
  readonly #server: Server;
  /** How many requests are being answered on each. */
  readonly #busy = new Map<Socket, number>();
  /** By their peers: those whose TLS handshake is not over. */
  readonly #unproven = new Map<string, Socket>();
  #closing = false;

  constructor(server: Server, hasTls: boolean) {
    this.#server = server;
    server.on(hasTls ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.#unproven.delete(peerOf(socket));
      this.#busy.set(socket, 0);
      socket.on('close', () => this.#busy.delete(socket));
    });
    if (hasTls) server.on('connection', (socket: Socket) => this.#awaitHandshake(socket));
  }

  #awaitHandshake(socket: Socket): void {
    const peer = peerOf(socket);
    this.#unproven.set(peer, socket);
    socket.on('close', () => {
      if (this.#unproven.get(peer) === socket) this.#unproven.delete(peer);
    });
  }

  began(socket: Socket): void {
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
  }

  /** The answer has left, or its client. */
  ended(socket: Socket): void {
    const left = this.#busy.get(socket);
    if (left === undefined) return;
    this.#busy.set(socket, left - 1);
    if (this.#closing && left === 1) socket.destroySoon();
  }

  /** Takes no new connections and closes those that are idle. Settles when the last one has closed. */
  async close(): Promise<void> {
    this.#closing = true;
    const ended = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.#server, () => resolve());
    });
    for (const socket of this.#unproven.values()) socket.destroy();
    for (const [socket, requests] of this.#busy) if (requests === 0) socket.destroy();
    await ended;
    // Ends the timer behind the header and request timeouts; the server itself is closed.
    this.#server.close();
  }

  cut(): void {
    for (const socket of this.#busy.keys()) socket.destroy();
  }
}

/** The connection under TLS and the one over it are two sockets with one peer. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${String(remoteAddress)} ${String(remotePort)}`;
