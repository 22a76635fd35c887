import { afterEach, describe, expect, it } from 'vitest';
import type { ConnectionStatus, Transport } from '../../transport/transport.ts';
import { waitFor } from '../wait-for.ts';

/** A bus to test transports on. */
export interface BusUnderTest {
  readonly maxPayloadBytes: number;
  connect(name: string): Promise<Transport>;

  interrupt(): Promise<void>;
  restore(): Promise<void>;
  close(): Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (payload: Uint8Array): string => Buffer.from(payload).toString();
const SOON = { timeoutMs: 10_000 };

/** What the promise is rejected with; taken at once, so that no rejection is ever unhandled. */
const rejectionOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** What Manta expects of a Transport, whichever bus is below it. */
export function describeTransportConformance(
  name: string,
  startBus: (options: { maxPayloadBytes: number }) => Promise<BusUnderTest>,
): void {
  describe(`transport: ${name}`, () => {
    const cleanUps: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
    });

    const start = async (): Promise<BusUnderTest> => {
      const bus = await startBus({ maxPayloadBytes: 100_000 });
      cleanUps.push(() => bus.close());
      return bus;
    };
    const connected = async (bus: BusUnderTest, clientName = 'client'): Promise<Transport> => {
      const transport = await bus.connect(clientName);
      cleanUps.push(() => transport.close());
      return transport;
    };
    const pair = async (): Promise<{
      bus: BusUnderTest;
      asker: Transport;
      answerer: Transport;
    }> => {
      const bus = await start();
      return {
        bus,
        asker: await connected(bus, 'asker'),
        answerer: await connected(bus, 'answerer'),
      };
    };
    const recorded = async (
      transport: Transport,
      subject: string,
      queue?: string,
    ): Promise<string[]> => {
      const seen: string[] = [];
      transport.subscribe(
        subject,
        (payload) => seen.push(text(payload)),
        queue === undefined ? {} : { queue },
      );
      await transport.flush();
      return seen;
    };

    it('is connected and knows how much a message may hold', async () => {
      const transport = await connected(await start());
      expect(transport.status).toBe('connected');
      expect(transport.maxPayloadBytes).toBe(100_000);
    });

    it('publishes to every subscriber, in order, with the subject', async () => {
      const { asker, answerer } = await pair();
      const subjects: string[] = [];
      answerer.subscribe('news.*', (_payload, subject) => subjects.push(subject));
      const all = await recorded(answerer, 'news.>');
      const own = await recorded(asker, 'news.a');
      for (let index = 0; index < 100; index++) asker.publish('news.a', bytes(String(index)));
      await waitFor(() => all.length === 100 && own.length === 100, { describe: 'all messages' });
      expect(all).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
      expect(new Set(subjects)).toEqual(new Set(['news.a']));
    });

    it('never calls a handler in the turn of the publish', async () => {
      const transport = await connected(await start());
      const seen = await recorded(transport, 'own');
      transport.publish('own', bytes('x'));
      expect(seen).toEqual([]);
      await waitFor(() => seen.length === 1, { describe: 'the message' });
    });

    it('lets the caller use its buffer again once a flush is done', async () => {
      const { asker, answerer } = await pair();
      const kept: Uint8Array[] = [];
      answerer.subscribe('buffer', (payload) => kept.push(payload));
      await answerer.flush();
      const buffer = Buffer.from('first');
      asker.publish('buffer', buffer);
      await asker.flush();
      buffer.write('later');
      await waitFor(() => kept.length === 1, { describe: 'the message' });
      expect(kept.map(text)).toEqual(['first']);
    });

    it('gives each message to one member of a queue group', async () => {
      const { bus, asker } = await pair();
      const members = await Promise.all(
        ['one', 'two', 'three'].map(async (name) =>
          recorded(await connected(bus, name), 'work', 'workers'),
        ),
      );
      for (let index = 0; index < 300; index++) asker.publish('work', bytes(String(index)));
      await waitFor(() => members.flat().length >= 300, { describe: 'all messages' });
      await asker.flush();
      expect(new Set(members.flat()).size).toBe(300);
      expect(members.flat()).toHaveLength(300);
      for (const member of members) expect(member.length).toBeGreaterThan(30);
    });

    it('answers requests, also late, many at once and out of order', async () => {
      const { asker, answerer } = await pair();
      const waiting: (() => void)[] = [];
      answerer.subscribe('ask', (payload, _subject, reply) => {
        waiting.unshift(() => reply?.(bytes(`re ${text(payload)}`)));
        if (waiting.length === 50) for (const answer of waiting) answer();
      });
      await answerer.flush();
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) => asker.request('ask', bytes(String(index)), SOON)),
      );
      expect(answers.map(text)).toEqual(Array.from({ length: 50 }, (_, index) => `re ${index}`));
    });

    it('gives no reply function to a message that wants no reply', async () => {
      const { asker, answerer } = await pair();
      const replies: unknown[] = [];
      answerer.subscribe('note', (_payload, _subject, reply) => replies.push(reply));
      await answerer.flush();
      asker.publish('note', bytes(''));
      await waitFor(() => replies.length === 1, { describe: 'the message' });
      expect(replies).toEqual([undefined]);
    });

    it('fails at once when nobody listens', async () => {
      const transport = await connected(await start());
      await expect(
        transport.request('nobody', bytes(''), { timeoutMs: 1_000_000 }),
      ).rejects.toMatchObject({
        name: 'ClusterUnavailableError',
        message: expect.stringContaining("'nobody'"),
      });
    });

    it('fails when the deadline passes', async () => {
      const { asker, answerer } = await pair();
      await recorded(answerer, 'silent');
      await expect(asker.request('silent', bytes(''), { timeoutMs: 30 })).rejects.toMatchObject({
        name: 'ClusterUnavailableError',
        retryable: true,
      });
    });

    it('ends a request with the reason of its signal, before and during', async () => {
      const { asker, answerer } = await pair();
      const seen = await recorded(answerer, 'silent');
      const reason = new Error('changed my mind');
      const aborted = { timeoutMs: 1_000_000, signal: AbortSignal.abort(reason) };
      await expect(asker.request('silent', bytes('never sent'), aborted)).rejects.toBe(reason);
      const controller = new AbortController();
      const request = asker.request('silent', bytes('sent'), {
        timeoutMs: 1_000_000,
        signal: controller.signal,
      });
      const outcome = rejectionOf(request);
      await waitFor(() => seen.length > 0, { describe: 'the request arrives' });
      controller.abort(reason);
      expect(await outcome).toBe(reason);
      expect(seen).toEqual(['sent']);
    });

    it('refuses what is larger than a message may be, and goes on', async () => {
      const { asker, answerer } = await pair();
      answerer.subscribe('ask', (payload, _subject, reply) => reply?.(payload));
      await answerer.flush();
      const tooLarge = new Uint8Array(asker.maxPayloadBytes + 1);
      const refusal = {
        name: 'InvalidArgumentError',
        message: expect.stringMatching(/100001 bytes.*100000/),
      };
      await expect(asker.request('ask', tooLarge, SOON)).rejects.toMatchObject(refusal);
      expect(() => asker.publish('ask', tooLarge)).toThrow(expect.objectContaining(refusal));
      const largest = new Uint8Array(asker.maxPayloadBytes).fill(7);
      expect(Buffer.compare(await asker.request('ask', largest, SOON), largest)).toBe(0);
    });

    it('delivers nothing after unsubscribe', async () => {
      const { asker, answerer } = await pair();
      const seen: string[] = [];
      const subscription = answerer.subscribe('ask', (payload) => seen.push(text(payload)));
      await answerer.flush();
      subscription.unsubscribe();
      await answerer.flush();
      await expect(asker.request('ask', bytes('x'), SOON)).rejects.toThrow(/Nobody listens/);
      subscription.unsubscribe();
      expect(seen).toEqual([]);
    });

    /** Once this holds, a drain is past its first part and waits for what is under way. */
    const untilNobodyListens = (observer: Transport, subject: string): Promise<unknown> =>
      waitFor(
        async () => {
          const error = await rejectionOf(observer.request(subject, bytes(''), { timeoutMs: 50 }));
          return String(error).includes('Nobody listens');
        },
        { describe: `nobody listens on ${subject}` },
      );

    it('drain: finishes what it asked, then is closed', async () => {
      const { bus, asker, answerer } = await pair();
      const waiting: (() => void)[] = [];
      answerer.subscribe('slow', (payload, _subject, reply) =>
        waiting.push(() => reply?.(payload)),
      );
      asker.subscribe('back', () => {});
      await Promise.all([answerer.flush(), asker.flush()]);
      const asked = asker.request('slow', bytes('asked'), SOON);
      await waitFor(() => waiting.length === 1, { describe: 'the request arrives' });

      const drained = asker.drain();
      expect(await rejectionOf(asker.request('slow', bytes(''), SOON))).toMatchObject({
        name: 'ClusterUnavailableError',
      });
      const observer = await connected(bus, 'observer');
      await untilNobodyListens(observer, 'back');
      for (let turn = 0; turn < 5; turn++) await observer.flush();
      for (const answer of waiting) answer();
      expect(text(await asked)).toBe('asked');
      await drained;
      expect(asker.status).toBe('closed');
    });

    it('drain: finishes what it was asked, then is closed', async () => {
      const { bus, asker, answerer } = await pair();
      const waiting: (() => void)[] = [];
      answerer.subscribe('slow', (payload, _subject, reply) =>
        waiting.push(() => reply?.(payload)),
      );
      await answerer.flush();
      const asked = asker.request('slow', bytes('asked'), SOON);
      await waitFor(() => waiting.length === 1, { describe: 'the request arrives' });

      const drained = answerer.drain();
      const observer = await connected(bus, 'observer');
      await untilNobodyListens(observer, 'slow');
      for (let turn = 0; turn < 5; turn++) await observer.flush();
      for (const answer of waiting) answer();
      expect(text(await asked)).toBe('asked');
      await drained;
      expect(answerer.status).toBe('closed');
    });

    it('close: rejects what waits, tells its listeners once, refuses everything after', async () => {
      const { asker, answerer } = await pair();
      await recorded(answerer, 'silent');
      const told: ConnectionStatus[] = [];
      asker.onStatus((status) => told.push(status));
      const request = asker.request('silent', bytes(''), { timeoutMs: 1_000_000 });
      const outcome = rejectionOf(request);
      await asker.close();
      expect(await outcome).toMatchObject({ name: 'ClusterUnavailableError' });
      await asker.close();
      expect(told).toEqual(['closed']);
      expect(() => asker.publish('a', bytes(''))).toThrow(/closed/);
      expect(() => asker.subscribe('a', () => {})).toThrow(/closed/);
      await expect(asker.flush()).rejects.toThrow(/closed/);
    });

    it('interruption: requests fail at once, publishing is lost, everything works again afterwards', async () => {
      const { bus, asker, answerer } = await pair();
      answerer.subscribe('ask', (payload, _subject, reply) => reply?.(payload));
      const silent = await recorded(answerer, 'silent');
      const told: ConnectionStatus[] = [];
      const stop = asker.onStatus((status) => told.push(status));
      const lost = asker.request('silent', bytes('lost'), { timeoutMs: 1_000_000 });
      const outcome = rejectionOf(lost);
      await waitFor(() => silent.length === 1, { describe: 'the request arrives' });

      await bus.interrupt();
      expect(await outcome).toMatchObject({ name: 'ClusterUnavailableError' });
      await waitFor(() => answerer.status === 'reconnecting', { describe: 'reconnecting' });
      await expect(asker.request('ask', bytes(''), { timeoutMs: 1_000_000 })).rejects.toMatchObject(
        {
          name: 'ClusterUnavailableError',
        },
      );
      asker.publish('silent', bytes('lost too'));

      await bus.restore();
      const answer = await waitFor(
        () => asker.request('ask', bytes('again'), { timeoutMs: 1_000 }),
        {
          describe: 'an answer after the interruption',
        },
      );
      expect(text(answer)).toBe('again');
      expect(told).toEqual(['reconnecting', 'connected']);
      expect(silent).toEqual(['lost']);
      stop();
    });
  });
}
