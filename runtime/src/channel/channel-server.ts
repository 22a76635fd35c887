import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { AuthenticationError, type MantaError } from '../errors/errors.ts';
import type { NodeId, ProcessId } from '../ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { Channel, ChannelPeer, ChannelServer, NatsListenOptions } from './channel.ts';
import { encodeFrame, FRAME_KIND, FrameReader, refusalReason, type Frame } from './frame.ts';
import { FrameChannel } from './frame-channel.ts';
import { challengeFor } from './handshake.ts';
import { listen, LocalListener } from './local-listener.ts';
import { listenNatsPipes } from './nats-pipe.ts';
import { socketPipe, type Pipe } from './pipe.ts';
import type { Transport } from '../transport/transport.ts';

export interface ListenOptions {
  processId: ProcessId;
  role: ChannelPeer['role'];
  machineId: string;
  nodeId?: NodeId;
  /** Where the Unix socket is made; absent: none (Windows, or a driver without a directory). */
  socketDirectory?: string;
  /** Interface to listen on for other machines; absent: no TCP. */
  tcpHost?: string;
  /** TCP connections are encrypted. Default false. */
  encrypted?: boolean;
  /** Takes channels over NATS as well. */
  nats?: NatsListenOptions;
  token: string;
  onChannel(channel: Channel): void;
  /** Told of each refused peer: for counting and the log. */
  onRefused?: (reason: MantaError) => void;
  /** Neither the listener nor its channels keep this process alive. Default false. */
  background?: boolean;
  /** False while the process must not take channels from other nodes (partition tests). */
  accepts?(): boolean;
}

/**
 * Takes channels on all the ways this process can be reached. Nothing is delivered before a peer has proved the token.
 * @throws MantaError when the path of the socket would be too long for this system.
 */
export async function listenChannels(options: ListenOptions): Promise<ChannelServer> {
  const { processId, nodeId, machineId, tcpHost, background = false } = options;
  const servers: Server[] = [];
  const open = new Set<Pipe>();
  /** Of TLS, with those whose handshake is not over. */
  const connections = new Set<Socket>();
  const channels = new Set<FrameChannel>();
  const takeChannel = (channel: FrameChannel): void => {
    channels.add(channel);
    channel.onClose(() => channels.delete(channel));
    options.onChannel(channel);
  };
  const takePipe = (pipe: Pipe): void => {
    if (options.accepts?.() === false) {
      pipe.destroy();
      return;
    }
    if (background) pipe.unref();
    open.add(pipe);
    pipe.onClose(() => open.delete(pipe));
    acceptPipe(pipe, options, takeChannel);
  };
  const takeSocket = (socket: Socket): void => takePipe(socketPipe(socket));

  const ways = { socketPath: undefined, tcp: undefined };
  const address: ProcessAddress = { processId, nodeId, machineId, ...ways };
  const local = new LocalListener({ processId, onSocket: takeSocket, background });
  const listenIn = async (socketDirectory: string): Promise<void> => {
    await local.listenIn(socketDirectory).finally(() => (address.socketPath = local.path));
  };
  if (options.socketDirectory !== undefined) await listenIn(options.socketDirectory);
  if (tcpHost !== undefined) {
    const server = await listenTcp({ ...options, tcpHost }, takeSocket, connections);
    address.tcp = { host: tcpHost, port: (server.address() as AddressInfo).port };
    servers.push(server);
  }
  if (background) for (const server of servers) server.unref();
  const natsListeners: { transport: Transport; close(): void }[] = [];
  const listenOnNats = async ({ transport, subject }: NatsListenOptions): Promise<void> => {
    natsListeners.push({ transport, ...listenNatsPipes(transport, subject, takePipe) });
    // Whoever learns the address now must find a listener.
    if (transport.status === 'connected') await transport.flush();
  };
  if (options.nats !== undefined) await listenOnNats(options.nats);

  return {
    address,
    listenIn,
    listenOnNats,
    async flushed() {
      await Promise.all([...channels].map((channel) => channel.flushed()));
      const connected = natsListeners.filter(({ transport }) => transport.status === 'connected');
      await Promise.allSettled(connected.map(({ transport }) => transport.flush()));
    },
    async close() {
      for (const listener of natsListeners) listener.close();
      const closed = servers.map(
        (server) => new Promise<void>((resolve) => server.close(() => resolve())),
      );
      for (const pipe of open) pipe.destroy();
      for (const connection of connections) connection.destroy();
      await Promise.all([...closed, local.close()]);
    },
  };
}

async function listenTcp(
  { tcpHost, token, encrypted, onRefused }: ListenOptions & { tcpHost: string },
  onSocket: (socket: Socket) => void,
  connections: Set<Socket>,
): Promise<Server> {
  const where = { host: tcpHost, port: 0 };
  if (encrypted !== true) return listen(createServer(onSocket), where);
  // Imported only when asked for: Node's TLS takes milliseconds of every start.
  const { createChannelTlsServer } = await import('./channel-tls.ts');
  return listen(createChannelTlsServer({ token, onSocket, onRefused, connections }), where);
}

/** The listener's half of the handshake, then a channel. */
function acceptPipe(
  pipe: Pipe,
  options: ListenOptions,
  onChannel: (channel: FrameChannel) => void,
): void {
  let channel: FrameChannel | undefined;
  let pendingAnswer: ReturnType<typeof challengeFor> | undefined;

  let refused = false;
  const refuse = (error: unknown): void => {
    if (refused) return;
    refused = true;
    clearTimeout(deadline);
    const reason = refusalReason(error);
    options.onRefused?.(reason);
    if (channel !== undefined) {
      channel.refuse(reason);
      return;
    }
    pipe.write(encodeFrame(FRAME_KIND.refusal, { name: reason.name, message: reason.message }));
    pipe.end();
  };
  const deadline = setTimeout(
    () => refuse(new AuthenticationError(`No handshake within ${LIMITS.handshakeTimeoutMs} ms.`)),
    LIMITS.handshakeTimeoutMs,
  );
  deadline.unref();

  const onHandshakeFrame = (frame: Frame): void => {
    if (frame.kind !== FRAME_KIND.handshake)
      throw new AuthenticationError('Records before the handshake.');
    if (pendingAnswer === undefined) {
      const self: ChannelPeer = { processId: options.processId, role: options.role };
      pendingAnswer = challengeFor(frame.body, self, options.token);
      pipe.write(encodeFrame(FRAME_KIND.handshake, pendingAnswer.challenge));
      return;
    }
    const peer = pendingAnswer.accept(frame.body);
    clearTimeout(deadline);
    channel = new FrameChannel(pipe, peer, reader, refuse);
    onChannel(channel);
  };
  const reader = new FrameReader((frame) => {
    if (channel === undefined) onHandshakeFrame(frame);
    else channel.receive(frame);
  }, LIMITS.handshakeFrameBytes);
  pipe.onData((chunk, isLent) => {
    if (refused) return;
    try {
      reader.push(chunk, isLent);
    } catch (error) {
      refuse(error);
    }
  });
  pipe.onClose(() => clearTimeout(deadline));
}
