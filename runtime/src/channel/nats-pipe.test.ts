import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../testing/manual-clock.ts';
import { waitFor } from '../testing/wait-for.ts';
import { MemoryBus, type MemoryBusOptions } from '../transport/memory-bus.ts';
import { NobodyListensError } from '../transport/nobody-listens.ts';
import type { Transport } from '../transport/transport.ts';
import { listenNatsPipes, openNatsPipe } from './nats-pipe.ts';
import type { Pipe } from './pipe.ts';

interface Ends {
  bus: MemoryBus;
  clock: ManualClock;
  caller: Pipe;
  listener: Pipe;
  transports: { caller: Transport; listener: Transport };
}

async function connect(options: MemoryBusOptions = {}): Promise<Ends> {
  const clock = new ManualClock();
  const bus = new MemoryBus({ ...options, clock });
  const transports = {
    caller: bus.connect({ name: 'caller' }),
    listener: bus.connect({ name: 'listener' }),
  };
  const taken: Pipe[] = [];
  listenNatsPipes(transports.listener, 'subject', (pipe) => void taken.push(pipe), clock);
  const caller = await openNatsPipe(transports.caller, 'subject', 1_000, clock);
  return { bus, clock, caller, listener: taken[0] as Pipe, transports };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number): Promise<void> => {
  for (let index = 0; index < count; index += 1) await turn();
};

function closings(pipe: Pipe): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  pipe.onClose((error) => seen.push(error?.message));
  return seen;
}

/** Collects bytes; gives how many so far. */
function drain(pipe: Pipe): { bytes: number } {
  const seen = { bytes: 0 };
  pipe.onData((chunk) => {
    seen.bytes += chunk.length;
  });
  return seen;
}

describe('pipe over NATS', () => {
  it('has at most a window under way while the reader pauses', async () => {
    const { caller, listener } = await connect();
    const seen = drain(listener);
    listener.pause();
    const written: number[] = [];
    for (const part of [1, 2, 3, 4])
      caller.write([Buffer.alloc(4 * 2 ** 20)], () => written.push(part));
    await turns(50);
    expect(written).toEqual([1]);
    expect(seen.bytes).toBe(0);
    listener.resume();
    await waitFor(() => seen.bytes === 16 * 2 ** 20, { describe: 'all bytes' });
    expect(written).toEqual([1, 2, 3, 4]);
  });

  it('a reader that pauses with every chunk gets one chunk per resume', async () => {
    const { caller, listener } = await connect();
    let chunks = 0;
    listener.pause();
    listener.onData(() => {
      chunks += 1;
      listener.pause();
    });
    caller.write([Buffer.alloc(3 * 512 * 1024)]);
    await turns(10);
    for (const expected of [1, 2, 3, 3]) {
      listener.resume();
      expect(chunks).toBe(expected);
    }
  });

  it('closes both ends when a message is lost, also when nothing follows it', async () => {
    let dropNext = false;
    const ends = await connect({
      onDelivery: ({ payloadBytes }) => {
        if (!dropNext || payloadBytes < 6) return 'deliver';
        dropNext = false;
        return 'drop';
      },
    });
    const [atCaller, atListener] = [closings(ends.caller), closings(ends.listener)];
    const seen = drain(ends.listener);
    dropNext = true;
    ends.caller.write([Buffer.from('lost')]);
    await turns(5);
    expect(atListener).toEqual([]);
    ends.clock.advance(10_000);
    await turns(5);
    expect(atListener).toEqual(['a message of the conversation over NATS was lost']);
    expect(atCaller).toEqual([undefined]);
    expect(seen.bytes).toBe(0);
    expect(ends.clock.pendingTimers).toBe(0);
  });

  it('closes after a minute of silence, not while pings come', async () => {
    const { bus, clock, caller, listener } = await connect();
    const [atCaller, atListener] = [closings(caller), closings(listener)];
    for (let index = 0; index < 20; index += 1) {
      clock.advance(10_000);
      await turns(2);
    }
    expect([atCaller, atListener]).toEqual([[], []]);
    bus.partition('caller');
    for (let index = 0; index < 8; index += 1) {
      clock.advance(10_000);
      await turns(2);
    }
    expect([atCaller, atListener]).toEqual([
      ['nothing was heard for 60000 ms'],
      ['nothing was heard for 60000 ms'],
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('closes within seconds when nobody is at the other end, not when it is back at once', async () => {
    const { bus, clock, caller } = await connect();
    const ended = closings(caller);
    const passing = async (milliseconds: number): Promise<void> => {
      clock.advance(milliseconds);
      await turns(10);
    };
    bus.disconnect('listener');
    await passing(2_000);
    bus.restore('listener');
    await passing(2_000);
    bus.disconnect('listener');
    await passing(2_000);
    expect(ended).toEqual([]);
    await passing(2_000);
    expect(ended).toEqual(['nobody is at the other end any more']);
  });

  it('gives a paused reader everything that was sent before the close', async () => {
    const { caller, listener } = await connect();
    const seen = drain(listener);
    const ended = closings(listener);
    listener.pause();
    caller.write([Buffer.alloc(100_000)]);
    caller.end();
    await turns(5);
    expect([seen.bytes, ended]).toEqual([0, []]);
    listener.resume();
    expect([seen.bytes, ended]).toEqual([100_000, [undefined]]);
  });

  it('ends when the transport has been closed', async () => {
    const { caller, transports } = await connect();
    const ended = closings(caller);
    await transports.caller.close();
    caller.write([Buffer.from('x')]);
    expect(ended).toEqual(['the message bus is closed']);
  });

  it('is not opened to one who is killed with the request in its hands, nor waited for', async () => {
    const clock = new ManualClock();
    const bus = new MemoryBus({ clock });
    bus.connect({ name: 'listener' }).subscribe('subject', () => undefined);
    const opening = openNatsPipe(bus.connect({ name: 'caller' }), 'subject', 60_000, clock);
    const outcome = opening.catch((error: unknown) => error);
    clock.advance(500);
    await turns(5);
    bus.disconnect('listener');
    clock.advance(500);
    expect(await outcome).toBeInstanceOf(NobodyListensError);
    expect(clock.pendingTimers).toBe(0);
  });

  it('takes no conversation whose inbox is another subject', async () => {
    const clock = new ManualClock();
    const bus = new MemoryBus({ clock });
    const [listener, hostile] = [
      bus.connect({ name: 'listener' }),
      bus.connect({ name: 'hostile' }),
    ];
    let pipes = 0;
    listenNatsPipes(listener, 'subject', () => (pipes += 1), clock);
    for (const inbox of [
      '',
      'manta.head',
      'subject.pipe.>',
      `subject.pipe.${'a'.repeat(17)}*`,
      'subject.pipe.\r\nPUB',
    ]) {
      const asked = hostile.request('subject', Buffer.from(`\0${inbox}`), { timeoutMs: 100 });
      const refused = asked.catch((error: unknown) => error);
      await turns(3);
      clock.advance(100);
      expect(await refused).toMatchObject({ name: 'ClusterUnavailableError' });
    }
    expect(pipes).toBe(0);
  });

  it('whatever bytes come, it goes on or closes; nothing is thrown', async () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc
        .tuple(fc.nat(5), fc.nat(3), fc.uint8Array({ maxLength: 12 }))
        .map(([type, number, rest]) => Buffer.concat([Buffer.of(type, number, 0, 0, 0), rest])),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 10 }),
        fc.boolean(),
        async (messages, paused) => {
          const clock = new ManualClock();
          const bus = new MemoryBus({ clock });
          const [listener, hostile] = [
            bus.connect({ name: 'listener' }),
            bus.connect({ name: 'hostile' }),
          ];
          const taken: Pipe[] = [];
          const listening = listenNatsPipes(
            listener,
            'subject',
            (pipe) => void taken.push(pipe),
            clock,
          );
          const open = Buffer.from(`\0subject.pipe.${'0'.repeat(18)}`);
          const inbox = Buffer.from(
            await hostile.request('subject', open, { timeoutMs: 100 }),
          ).toString();
          const pipe = taken[0] as Pipe;
          const ended = closings(pipe);
          drain(pipe);
          if (paused) pipe.pause();
          for (const bytes of messages) hostile.publish(inbox, bytes);
          await turns(2);
          pipe.resume();
          pipe.write([Buffer.from('still here')]);
          pipe.destroy();
          expect(ended).toHaveLength(1);
          listening.close();
          expect(clock.pendingTimers).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });
});
