import type { Socket } from 'node:net';

/** What carries a channel's bytes: a Unix socket, a TCP connection, or a conversation over NATS. */
export interface Pipe {
  write(buffers: readonly Buffer[]): void;
  /** Bytes accepted by `write` that have not left this process. */
  readonly queuedBytes: number;
  /** Called when `queuedBytes` has become less after a `write` of several buffers. */
  onProgress(listener: () => void): void;
  onData(handler: (chunk: Buffer) => void): void;
  /** Called once, with the error that ended it, if any. */
  onClose(listener: (error: Error | undefined) => void): void;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  destroy(): void;
  /** From now on it does not keep the process alive. */
  unref(): void;
}

/** The kernel answers these probes, so a peer with a busy event loop is never taken for a dead one. */
const TCP_KEEP_ALIVE_MS = 10_000;

export function socketPipe(socket: Socket): Pipe {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
  let failure: Error | undefined;
  let progressed: () => void = () => undefined;
  socket.on('error', (error) => {
    failure = error;
  });
  // A frame with attached segments is large: its end is told, so that the next one follows at once.
  const written = (): void => progressed();
  return {
    write(buffers) {
      if (buffers.length === 1) {
        socket.write(buffers[0] as Buffer);
        return;
      }
      socket.cork();
      const last = buffers.length - 1;
      for (let index = 0; index < last; index += 1) socket.write(buffers[index] as Buffer);
      socket.write(buffers[last] as Buffer, written);
      socket.uncork();
    },
    onProgress: (listener) => {
      progressed = listener;
    },
    get queuedBytes() {
      return socket.writableLength;
    },
    onData: (handler) => void socket.on('data', handler),
    onClose: (listener) => void socket.once('close', () => listener(failure)),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(() => socket.destroySoon()),
    destroy: () => void socket.destroy(),
    unref: () => void socket.unref(),
  };
}
