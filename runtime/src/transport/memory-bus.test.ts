import { describe, expect, it } from 'vitest';
import { waitFor } from '../testing/wait-for.ts';
import { MemoryBus } from './memory-bus.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('MemoryBus', () => {
  it('runs entirely on the schedule it is given', async () => {
    const tasks: (() => void)[] = [];
    const bus = new MemoryBus({ schedule: (task) => tasks.push(task) });
    const transport = bus.connect({ name: 'only' });
    const seen: string[] = [];
    transport.subscribe('a', (payload) => seen.push(Buffer.from(payload).toString()));
    transport.publish('a', bytes('1'));
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
    expect(seen).toEqual(['1']);
  });

  it('drops and delays deliveries as told', async () => {
    const bus = new MemoryBus({
      onDelivery: ({ subject, receiver }) => {
        if (receiver === 'deaf') return 'drop';
        return subject === 'late' ? { delayMs: 20 } : 'deliver';
      },
    });
    const [sender, receiver, deaf] = ['sender', 'receiver', 'deaf'].map((name) =>
      bus.connect({ name }),
    );
    const seen: string[] = [];
    receiver?.subscribe('>', (_payload, subject) => seen.push(subject));
    deaf?.subscribe('>', () => seen.push('heard by the deaf'));
    await receiver?.flush();
    sender?.publish('late', bytes(''));
    sender?.publish('soon', bytes(''));
    await waitFor(() => seen.length === 2, { describe: 'both messages' });
    expect(seen).toEqual(['soon', 'late']);
  });

  it('a partition is silent: nothing passes, nobody is told, and it heals', async () => {
    const bus = new MemoryBus();
    const alone = bus.connect({ name: 'alone' });
    const other = bus.connect({ name: 'other' });
    const seen: string[] = [];
    for (const transport of [alone, other]) {
      transport.subscribe('ask', (payload, _subject, reply) => reply?.(payload), { queue: 'q' });
      transport.subscribe('news', (payload) => seen.push(Buffer.from(payload).toString()));
    }
    await other.flush();
    bus.partition('alone');
    other.publish('news', bytes('from other'));
    alone.publish('news', bytes('from alone'));
    await expect(alone.request('ask', bytes(''), { timeoutMs: 20 })).rejects.toThrow(/No answer/);
    expect(seen).toEqual(['from other']);
    expect(alone.status).toBe('connected');
    bus.heal('alone');
    other.publish('news', bytes('again'));
    await waitFor(() => seen.length === 3, { describe: 'both hear it' });
  });

  it('interrupts one client by name', async () => {
    const bus = new MemoryBus();
    const [one, two] = [bus.connect({ name: 'one' }), bus.connect({ name: 'two' })];
    bus.disconnect('one');
    expect([one.status, two.status]).toEqual(['reconnecting', 'connected']);
    bus.restore('one');
    expect(one.status).toBe('connected');
  });

  it('forgets a client that closes', async () => {
    const bus = new MemoryBus();
    const transport = bus.connect({ name: 'short' });
    await transport.close();
    bus.restore();
    expect(transport.status).toBe('closed');
  });
});
