import { existsSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { dirname } from 'node:path';
import {
  AuthenticationError,
  ClusterUnavailableError,
  MantaError,
  ProtocolError,
} from '../errors/errors.ts';
import { NobodyListensError } from '../transport/nobody-listens.ts';
import type { Transport } from '../transport/transport.ts';
import { LIMITS } from '../wire/limits.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { ChannelPeer } from './channel.ts';
import {
  encodeFrame,
  FRAME_KIND,
  FrameReader,
  refusalFrom,
  refusalReason,
  type Frame,
} from './frame.ts';
import { FrameChannel } from './frame-channel.ts';
import { answerFor, createHello } from './handshake.ts';
import { openNatsPipe } from './nats-pipe.ts';
import { lentReads, socketPipe, type Pipe } from './pipe.ts';
import { ProcessGoneError } from './process-gone.ts';

/**
 * A kernel takes TCP connections even for a process that is busy, so whoever has not answered until then, one lost
 * packet included, is behind a firewall.
 */
const TCP_TIMEOUT_MS = 2_000;
/** macOS refuses a connection to a Unix socket for a listener that has too many to take, too: so long, so often. */
const FULL_QUEUE_MS = 2_000;
const FULL_QUEUE_PAUSE_MS = 30;

export interface OpenOptions {
  self: ChannelPeer;
  machineId: string;
  token: string;
  timeoutMs: number;
  /** TCP connections are encrypted, as `ListenOptions` of the other end say. Default false. */
  encrypted?: boolean | undefined;
  /** Told when a peer is refused after the handshake, because what it sent could not be handled. */
  onRefused?(reason: MantaError): void;
  /** The last resort, when neither socket nor TCP is reachable. */
  nats?: { transport: () => Promise<Transport>; subject: string } | undefined;
  platform?: NodeJS.Platform;
}

/**
 * Opens a channel by the nearest way: Unix socket on the same machine, else TCP, else NATS.
 * @throws AuthenticationError when the two ends have different tokens.
 * @throws ClusterUnavailableError when the process cannot be reached; the message names every way that was tried.
 * ProcessGoneError, which is one, when it will not be back.
 */
export async function openChannel(
  address: ProcessAddress,
  options: OpenOptions,
): Promise<FrameChannel> {
  const failures: string[] = [];
  const signs = new Set<Sign>();
  for (const way of waysTo(address, options)) {
    try {
      return await introduce(await way.open(), options, address);
    } catch (error) {
      if (MantaError.is(error, 'AuthenticationError') || MantaError.is(error, 'ProtocolError'))
        throw error;
      failures.push(`${way.name}: ${error instanceof Error ? error.message : String(error)}`);
      signs.add(signOf(error, address));
      // The kernel has spoken: no other way leads to a process that has let go of its socket.
      if (way.isLocal && !isHidden(error)) break;
    }
  }
  const tried =
    failures.length === 0 ? 'it has no address that can be used from here' : failures.join('; ');
  const Failure =
    signs.has('gone') && !signs.has('unclear') ? ProcessGoneError : ClusterUnavailableError;
  throw new Failure(`Process ${address.processId} cannot be reached: ${tried}.`);
}

/** What a way that failed says of the process; `absent`: it may have lost its connection to the bus for a moment. */
type Sign = 'gone' | 'absent' | 'unclear';

function signOf(error: unknown, { socketPath }: ProcessAddress): Sign {
  if (error instanceof ProcessGoneError) return 'gone';
  if (error instanceof NobodyListensError) return 'absent';
  const { code, syscall, address } = error as NodeJS.ErrnoException & { address?: string };
  if (syscall !== 'connect') return 'unclear';
  if (code === 'ECONNREFUSED') return 'gone';
  // Of another file system, unless its directory is here.
  const isRemoved = code === 'ENOENT' && address === socketPath && socketPath !== undefined;
  return isRemoved && existsSync(dirname(socketPath)) ? 'gone' : 'unclear';
}

/** The socket's path is of another file system than ours, or not for us. */
function isHidden(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'EACCES' || code === 'EPERM';
}

interface Way {
  name: string;
  isLocal?: boolean;
  open(): Promise<Pipe>;
}

function waysTo(address: ProcessAddress, options: OpenOptions): Way[] {
  const ways: Way[] = [];
  const { socketPath, tcp } = address;
  const { nats } = options;
  if (socketPath !== undefined && address.machineId === options.machineId) {
    ways.push({
      name: socketPath,
      isLocal: true,
      open: () => openLocalSocket(socketPath, options),
    });
  }
  if (tcp !== undefined) {
    const timeoutMs = Math.min(options.timeoutMs, TCP_TIMEOUT_MS);
    const { encrypted, token } = options;
    ways.push({
      name: `${tcp.host}:${tcp.port}`,
      open: () =>
        encrypted === true ? openEncrypted(tcp, token, timeoutMs) : openSocket(tcp, timeoutMs),
    });
  }
  if (nats !== undefined) {
    ways.push({
      name: nats.subject,
      open: async () => openNatsPipe(await nats.transport(), nats.subject, options.timeoutMs),
    });
  }
  return ways;
}

async function openLocalSocket(path: string, options: OpenOptions): Promise<Pipe> {
  const { timeoutMs, platform = process.platform } = options;
  const retriedUntilMs =
    platform === 'darwin' ? performance.now() + Math.min(timeoutMs, FULL_QUEUE_MS) : 0;
  for (;;) {
    try {
      return await openSocket({ path }, timeoutMs);
    } catch (error) {
      const isRefused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
      if (!isRefused || performance.now() >= retriedUntilMs || !existsSync(path)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, FULL_QUEUE_PAUSE_MS));
  }
}

async function openSocket(where: NetConnectOpts, timeoutMs: number): Promise<Pipe> {
  const { onread, receiver } = lentReads();
  const socket = connect({ ...where, onread });
  await opened(socket, 'connect', timeoutMs);
  return socketPipe(socket, receiver);
}

async function openEncrypted(
  where: { host: string; port: number },
  token: string,
  timeoutMs: number,
): Promise<Pipe> {
  // Imported only when asked for: Node's TLS takes milliseconds of every start.
  const { connectChannelTls, isOtherKey } = await import('./channel-tls.ts');
  const socket = connectChannelTls(where, token);
  try {
    await opened(socket, 'secureConnect', timeoutMs);
  } catch (error) {
    if (!isOtherKey(error as NodeJS.ErrnoException)) throw error;
    throw new AuthenticationError('The two processes have different cluster tokens.', {
      cause: error,
    });
  }
  return socketPipe(socket);
}

function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  timeoutMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const failed = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once('error', failed);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off('error', failed);
      resolve();
    });
  });
}

/** The caller's half of the handshake. */
function introduce(
  pipe: Pipe,
  options: OpenOptions,
  address: ProcessAddress,
): Promise<FrameChannel> {
  return new Promise((resolve, reject) => {
    const hello = createHello(options.self);
    let channel: FrameChannel | undefined;
    let failed = false;
    const fail = (error: unknown): void => {
      if (failed) return;
      failed = true;
      clearTimeout(timer);
      if (channel === undefined) {
        reject(error instanceof Error ? error : new ProtocolError(String(error)));
        pipe.destroy();
        return;
      }
      const reason = refusalReason(error);
      options.onRefused?.(reason);
      channel.refuse(reason);
    };
    const timer = setTimeout(
      () => fail(new ClusterUnavailableError(`no handshake within ${options.timeoutMs} ms`)),
      options.timeoutMs,
    );
    const onHandshakeFrame = (frame: Frame): void => {
      if (frame.kind === FRAME_KIND.refusal) throw refusalFrom(frame.body);
      if (frame.kind !== FRAME_KIND.handshake)
        throw new ProtocolError('Records before the handshake.');
      const { peer, answer } = answerFor(frame.body, hello, options.token);
      if (peer.processId !== address.processId) {
        throw new ProcessGoneError(
          `another process (${peer.processId}) answers at this address now`,
        );
      }
      pipe.write(encodeFrame(FRAME_KIND.handshake, answer));
      clearTimeout(timer);
      channel = new FrameChannel(pipe, peer, reader, fail);
      resolve(channel);
    };
    const reader = new FrameReader((frame) => {
      if (channel === undefined) onHandshakeFrame(frame);
      else channel.receive(frame);
    }, LIMITS.handshakeFrameBytes);
    pipe.onData((chunk, isLent) => {
      if (failed) return;
      try {
        reader.push(chunk, isLent);
      } catch (error) {
        fail(error);
      }
    });
    pipe.onClose((error) => {
      if (channel === undefined)
        fail(error ?? new ClusterUnavailableError('the connection closed during the handshake'));
    });
    pipe.write(encodeFrame(FRAME_KIND.handshake, hello));
  });
}
