import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdMint } from '../ids.ts';
import {
  describeChannelConformance,
  type ChannelPair,
} from '../testing/conformance/channel-conformance.ts';
import { startEmbeddedServer } from '../testing/embedded-server.ts';
import { waitFor } from '../testing/wait-for.ts';
import { connectNats } from '../transport/nats-transport.ts';
import { MemoryBus } from '../transport/memory-bus.ts';
import type { Transport } from '../transport/transport.ts';
import type { Channel } from './channel.ts';
import { listenChannels, type ListenOptions } from './channel-server.ts';
import { openChannel } from './open-channel.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const token = 'the-token';

interface Way {
  listen?: Partial<ListenOptions>;
  /** One for each end. */
  transports?: [Transport, Transport];
  encrypted?: boolean;
  close?: () => Promise<void>;
}

async function connected({ listen = {}, transports, encrypted, close }: Way): Promise<ChannelPair> {
  const processId = mintId('process');
  let listener: Channel | undefined;
  const server = await listenChannels({
    processId,
    role: 'host',
    machineId: 'm',
    token,
    onChannel: (channel) => {
      listener = channel;
    },
    ...(transports === undefined
      ? {}
      : { nats: { transport: transports[0], subject: 'channels' } }),
    ...listen,
  });
  const caller = await openChannel(server.address, {
    self: { processId: mintId('process'), role: 'driver' },
    machineId: 'm',
    token,
    timeoutMs: 5_000,
    encrypted,
    nats: transports && { transport: () => Promise.resolve(transports[1]), subject: 'channels' },
  });
  return {
    caller,
    listener: await waitFor(() => listener, { describe: 'the accepted channel' }),
    async close() {
      caller.close();
      await server.close();
      await close?.();
    },
  };
}

describeChannelConformance('Unix socket', async () => {
  const socketDirectory = mkdtempSync(join(tmpdir(), 'manta-channel-'));
  return connected({
    listen: { socketDirectory },
    close: async () => rmSync(socketDirectory, { recursive: true }),
  });
});

describeChannelConformance('TCP', () => connected({ listen: { tcpHost: '127.0.0.1' } }));

describeChannelConformance('TCP with TLS', () =>
  connected({ listen: { tcpHost: '127.0.0.1', encrypted: true }, encrypted: true }),
);

describeChannelConformance('NATS over a memory bus', () => {
  const bus = new MemoryBus();
  return connected({
    transports: [bus.connect({ name: 'listener' }), bus.connect({ name: 'caller' })],
  });
});

describeChannelConformance('NATS over the embedded broker', async () => {
  const broker = await startEmbeddedServer({ token });
  const connect = (name: string): Promise<Transport> =>
    connectNats({ servers: [broker.url], token, name });
  const transports: [Transport, Transport] = [await connect('listener'), await connect('caller')];
  return connected({
    transports,
    async close() {
      await Promise.all(transports.map((transport) => transport.close()));
      await broker.stop();
    },
  });
});
