import { afterEach, describe, expect, it } from 'vitest';
import { waitFor } from '../testing/wait-for.ts';
import { connectNats } from '../transport/nats-transport.ts';
import type { Transport } from '../transport/transport.ts';
import { startBroker, type Broker } from './broker.ts';

const SOON = { timeoutMs: 10_000 };
const text = (payload: Uint8Array): string => Buffer.from(payload).toString();

describe('clients in the process of the broker', () => {
  let broker: Broker;
  const transports: Transport[] = [];
  const start = async (): Promise<{ local: Transport; remote: Transport }> => {
    broker = await startBroker({ token: 'secret' });
    const local = broker.connectLocally('local');
    const remote = await connectNats({ servers: [broker.url], token: 'secret', name: 'remote' });
    transports.push(local, remote);
    return { local, remote };
  };
  afterEach(async () => {
    for (const transport of transports.splice(0)) await transport.close();
    await broker.close();
  });

  it('talk with those that came over the network, in both directions', async () => {
    const { local, remote } = await start();
    for (const one of [local, remote]) {
      one.subscribe(`ask.${one === local ? 'local' : 'remote'}.ü`, (payload, subject, reply) =>
        reply?.(Buffer.from(`${subject}: ${text(payload)}`)),
      );
      await one.flush();
    }
    expect(text(await remote.request('ask.local.ü', Buffer.from('a'), SOON))).toBe(
      'ask.local.ü: a',
    );
    expect(text(await local.request('ask.remote.ü', Buffer.from('b'), SOON))).toBe(
      'ask.remote.ü: b',
    );
    const nobody = { code: 'MANTA_CLUSTER_UNAVAILABLE' };
    await expect(remote.request('ask.nobody', Buffer.from(''), SOON)).rejects.toMatchObject(nobody);
    await expect(local.request('ask.nobody', Buffer.from(''), SOON)).rejects.toMatchObject(nobody);
  });

  it('keep what they receive when the chunk that it came in is used again', async () => {
    const { local, remote } = await start();
    const kept: Uint8Array[] = [];
    local.subscribe('keep', (payload) => kept.push(payload));
    for (let index = 0; index < 100; index++) remote.publish('keep', Buffer.from(`m${index}`));
    await waitFor(() => kept.length === 100, { describe: 'all messages' });
    expect(kept.map(text)).toEqual(Array.from({ length: 100 }, (_, index) => `m${index}`));
    expect(kept.every((payload) => payload.buffer.byteLength === payload.length)).toBe(true);
  });

  it('are cut off when it closes, and by tests', async () => {
    const { local } = await start();
    const seen: string[] = [];
    local.onStatus((status) => seen.push(status));
    expect(broker.disconnect((name) => name === 'local')).toBe(1);
    await waitFor(() => local.status === 'connected', { describe: 'the client is back' });
    await broker.close();
    expect(seen).toEqual(['reconnecting', 'connected', 'reconnecting']);
    expect(broker.connectLocally('late').status).toBe('reconnecting');
  });
});
