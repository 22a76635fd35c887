import type { OnReadOpts, Socket } from 'node:net';
import { unansweredSockets } from './unanswered-sockets.ts';

/** What carries a channel's bytes: a Unix socket, a TCP connection, or a conversation over NATS. */
export interface Pipe {
  /** `whenWritten`: the buffers have left this process; not called when the pipe ends before. */
  write(buffers: readonly Buffer[], whenWritten?: () => void): void;
  /** `isLent`: the chunk's memory is used anew after the call. */
  onData(handler: (chunk: Buffer, isLent: boolean) => void): void;
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

/**
 * The kernel answers these probes, so a peer with a busy event loop is never taken for a dead one. A machine that has
 * fallen silent is given up ten probes later, one a second; by `unansweredSockets` when something was on its way there.
 */
const TCP_KEEP_ALIVE_MS = 2_000;

/** Reads need no memory of their own where each is handled before the next begins, in all sockets of the thread. */
const READ_BUFFER_BYTES = 256 * 1024;
const sharedReadBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
/** Windows fills a buffer while others are read. */
const canShareReadBuffer = process.platform !== 'win32';

/** What `net.connect` needs for a socket that reads into the shared buffer; `receiver` is for `socketPipe`. */
export function lentReads(): { onread: OnReadOpts; receiver: ReadReceiver } {
  const receiver: ReadReceiver = { receive: () => undefined };
  const buffer = canShareReadBuffer ? sharedReadBuffer : Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  const callback = (bytes: number): boolean => {
    receiver.receive(buffer.subarray(0, bytes));
    return true;
  };
  return { onread: { buffer, callback }, receiver };
}

export interface ReadReceiver {
  receive(chunk: Buffer): void;
}

/** `receiver`: of a socket made with `lentReads`. */
export function socketPipe(socket: Socket, receiver?: ReadReceiver): Pipe {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
  if (socket.remotePort !== undefined) unansweredSockets.watch(socket);
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure = error;
  });
  return {
    write(buffers, whenWritten) {
      if (buffers.length === 1 && whenWritten === undefined) {
        socket.write(buffers[0] as Buffer);
        return;
      }
      socket.cork();
      const last = buffers.length - 1;
      for (let index = 0; index < last; index += 1) socket.write(buffers[index] as Buffer);
      socket.write(buffers[last] as Buffer, (error) => {
        if (error == null) whenWritten?.();
      });
      socket.uncork();
    },
    onData(handler) {
      if (receiver === undefined) socket.on('data', (chunk: Buffer) => handler(chunk, false));
      else receiver.receive = (chunk) => handler(chunk, true);
    },
    onClose: (listener) => void socket.once('close', () => listener(failure)),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(() => socket.destroySoon()),
    destroy: () => void socket.destroy(),
    unref: () => void socket.unref(),
  };
}
