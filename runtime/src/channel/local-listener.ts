import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { ProcessId } from '../ids.ts';
import { checkSocketPath, socketPathOf } from './socket-path.ts';

interface LocalListenerOptions {
  processId: ProcessId;
  onSocket: (socket: Socket) => void;
  /** It does not keep this process alive. */
  background: boolean;
}

/** The Unix socket by which a process is reached on its machine: in one directory at a time. */
export class LocalListener {
  readonly #options: LocalListenerOptions;
  #server: Server | undefined;
  #path: string | undefined;

  constructor(options: LocalListenerOptions) {
    this.#options = options;
  }

  /** Where it listens. */
  get path(): string | undefined {
    return this.#path;
  }

  /**
   * Listens in this directory from now on, and no longer in a former one; connections that are open stay.
   * @throws MantaError when the path of the socket would be too long for this system.
   */
  async listenIn(directory: string): Promise<void> {
    const path = socketPathOf(directory, this.#options.processId);
    checkSocketPath(path);
    // First of all: it removes its file, which may be where the new one is to be.
    this.#server?.close();
    this.#path = undefined;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#server = await listen(createServer(this.#options.onSocket), { path });
    if (this.#options.background) this.#server.unref();
    this.#path = path;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    await new Promise((resolve) => server.close(resolve));
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }
}

/** Removes the socket of a process that was killed, and could not do so itself. */
export function removeSocket(socketDirectory: string, processId: ProcessId): void {
  rmSync(socketPathOf(socketDirectory, processId), { force: true });
}

export function listen(
  server: Server,
  where: { path: string } | { host: string; port: number },
): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}
