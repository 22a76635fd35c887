import { afterEach, describe, expect, it } from 'vitest';
import type { Channel, ChannelRecord } from '../../channel/channel.ts';
import { waitFor } from '../wait-for.ts';

/** Both ends of one channel, and what is needed to look behind it. */
export interface ChannelPair {
  /** The end that opened the channel. */
  caller: Channel;
  listener: Channel;
  close(): Promise<void>;
}

/** Collects what a channel receives. */
function collect(channel: Channel): { record: ChannelRecord; segments: Buffer[] }[] {
  const received: { record: ChannelRecord; segments: Buffer[] }[] = [];
  channel.onRecord((record, segments) => {
    received.push({ record, segments: segments.map((segment) => Buffer.from(segment)) });
  });
  return received;
}

const closings = (channel: Channel): string[] => {
  const names: string[] = [];
  channel.onClose((reason) => names.push(reason.name));
  return names;
};

/** What rpc/ expects of a Channel, whatever carries it. */
export function describeChannelConformance(
  name: string,
  makePair: () => Promise<ChannelPair>,
): void {
  describe(`channel: ${name}`, () => {
    const cleanUps: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
    });
    const pair = async (): Promise<ChannelPair> => {
      const made = await makePair();
      cleanUps.push(() => made.close());
      return made;
    };

    it('carries records in order, both ways at once', async () => {
      const { caller, listener } = await pair();
      const atListener = collect(listener);
      const atCaller = collect(caller);
      for (let index = 0; index < 2000; index += 1) {
        caller.send([1, index, 'to the listener']);
        listener.send([2, index, null, 1.5, Buffer.from('to the caller')]);
      }
      await waitFor(() => atListener.length === 2000 && atCaller.length === 2000, {
        describe: 'all records',
      });
      expect(atListener.map(({ record }) => record[1])).toEqual(
        Array.from({ length: 2000 }, (_, index) => index),
      );
      expect(atCaller.map(({ record }) => record[1])).toEqual(
        Array.from({ length: 2000 }, (_, index) => index),
      );
      expect(atCaller[7]?.record).toEqual([2, 7, null, 1.5, Buffer.from('to the caller')]);
    });

    it('delivers the records of one turn within one turn', async () => {
      const { caller, listener } = await pair();
      let turns = 0;
      let inTurn = false;
      let records = 0;
      listener.onRecord(() => {
        records += 1;
        if (inTurn) return;
        inTurn = true;
        turns += 1;
        setImmediate(() => (inTurn = false));
      });
      for (let index = 0; index < 100; index += 1) caller.send([1, index]);
      await waitFor(() => records === 100, { describe: 'all records' });
      expect(turns).toBe(1);
    });

    it('keeps records for a handler that comes late', async () => {
      const { caller, listener } = await pair();
      caller.send([1, 'early']);
      const replies = collect(caller);
      listener.send([2, 'answer']);
      await waitFor(() => replies.length === 1, { describe: 'the answer' });
      const received = collect(listener);
      await waitFor(() => received.length === 1, { describe: 'the early record' });
      expect(received[0]?.record).toEqual([1, 'early']);
    });

    it('carries segments beside the records they belong to', async () => {
      const { caller, listener } = await pair();
      const received: Buffer[][] = [];
      listener.onRecord((record, segments) => {
        const [count, first] = [record[1] as number, record[2] as number];
        received.push(segments.slice(first, first + count).map((segment) => Buffer.from(segment)));
      });
      caller.send([1, 2], [Buffer.from('a'), Buffer.from('bb')]);
      caller.send([1, 0, 0]);
      caller.send([1, 1], [Buffer.alloc(0)]);
      caller.send([1, 1], [Buffer.from('ccc')]);
      await waitFor(() => received.length === 4, { describe: 'all records' });
      expect(received.map((segments) => segments.map(String))).toEqual([
        ['a', 'bb'],
        [],
        [''],
        ['ccc'],
      ]);
    });

    it('says when segments have left: their memory can be used again', async () => {
      const { caller, listener } = await pair();
      const received = collect(listener);
      const memory = Buffer.alloc(2 ** 20);
      const sendNext = (number: number): void => {
        memory.fill(number);
        caller.send([1, 'before']);
        caller.send([1, number], [memory], () => {
          if (number < 20) sendNext(number + 1);
        });
      };
      sendNext(1);
      await waitFor(() => received.length === 40, { describe: 'all records' });
      const segments = received.flatMap(({ segments: attached }) => attached);
      expect(segments.map((segment) => segment.length)).toEqual(Array(20).fill(2 ** 20));
      expect(segments.map(([first]) => first)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
      expect(segments.every((segment) => segment.every((byte) => byte === segment[0]))).toBe(true);
    });

    it('lets a large segment be taken as it comes, also when small records are sent in its turn', async () => {
      const { caller, listener } = await pair();
      const others: unknown[] = [];
      listener.onRecord((record) => others.push(record[1]));
      let bytes = 0;
      let ends = 0;
      listener.onSegment(() => ({
        write: (piece) => {
          bytes += piece.length;
        },
        end: () => {
          ends += 1;
        },
      }));
      caller.send([1, 'before']);
      caller.send([1, 'large'], [Buffer.alloc(2 ** 20)]);
      caller.send([1, 'large'], [Buffer.alloc(2 ** 20)]);
      caller.send([1, 'behind']);
      await waitFor(() => others.includes('behind'), { describe: 'the last record' });
      expect({ others, bytes, ends }).toEqual({
        others: ['before', 'behind'],
        bytes: 2 * 2 ** 20,
        ends: 2,
      });
    });

    it('carries 100 MiB in one record', async () => {
      const { caller, listener } = await pair();
      const big = Buffer.alloc(100 * 2 ** 20, 'manta');
      let same: boolean | undefined;
      listener.onRecord((_record, segments) => {
        same = big.equals(segments[0] as Uint8Array);
      });
      caller.send([1], [big]);
      caller.send([1], [big]);
      await waitFor(() => same !== undefined, { describe: 'the segment' });
      expect(same).toBe(true);
    });

    it('pauses: nothing more arrives than what is under way, and all of it after resume', async () => {
      const { caller, listener } = await pair();
      let bytes = 0;
      let resumed = false;
      listener.onRecord((_record, segments) => {
        bytes += segments.at(-1)?.byteLength ?? 0;
        if (!resumed) listener.pause();
      });
      const replies = collect(caller);
      const segment = Buffer.alloc(2 ** 20, 1);
      for (let index = 0; index < 64; index += 1) {
        caller.send([1], [segment]);
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      await waitFor(() => bytes > 0, { describe: 'the first bytes' });
      // The other direction is not affected, and shows that time has passed.
      for (let turn = 0; turn < 20; turn += 1) {
        listener.send([2, turn]);
        await waitFor(() => replies.length === turn + 1, { describe: 'a reply' });
      }
      expect(bytes).toBeLessThan(16 * 2 ** 20);
      resumed = true;
      listener.resume();
      await waitFor(() => bytes === 64 * 2 ** 20, { describe: 'the rest' });
    });

    it('delivers what was sent before close, then tells both ends once', async () => {
      const { caller, listener } = await pair();
      const received = collect(listener);
      const [atCaller, atListener] = [closings(caller), closings(listener)];
      for (let index = 0; index < 1000; index += 1) caller.send([1, index], [Buffer.alloc(1000)]);
      caller.close();
      caller.close();
      caller.send([1, 'after close']);
      expect(atCaller).toEqual(['ClusterUnavailableError']);
      await waitFor(() => atListener.length > 0, { describe: 'the close' });
      expect(received).toHaveLength(1000);
      expect([atCaller, atListener]).toEqual([
        ['ClusterUnavailableError'],
        ['ClusterUnavailableError'],
      ]);
      expect(closings(listener)).toEqual(['ClusterUnavailableError']);
    });

    it('delivers to a paused end what was sent before close', async () => {
      const { caller, listener } = await pair();
      const received = collect(listener);
      const ended = closings(listener);
      const replies = collect(caller);
      listener.pause();
      listener.send([2]);
      await waitFor(() => replies.length === 1, { describe: 'the reply' });
      for (let index = 0; index < 10; index += 1) caller.send([1, index], [Buffer.alloc(10_000)]);
      caller.close();
      listener.resume();
      await waitFor(() => ended.length > 0, { describe: 'the close' });
      expect(received.length).toBe(10);
    });

    it('ends, and tells the peer why, when a handler throws', async () => {
      const { caller, listener } = await pair();
      listener.onRecord(() => {
        throw new TypeError('cannot handle that');
      });
      const [atCaller, atListener] = [closings(caller), closings(listener)];
      caller.send([1]);
      caller.send([1]);
      await waitFor(() => atCaller.length > 0 && atListener.length > 0, { describe: 'the end' });
      expect(atListener).toEqual(['ProtocolError']);
      expect(atCaller).toHaveLength(1);
    });

    it('tells the peer why it was refused', async () => {
      const { caller, listener } = await pair();
      const reasons: string[] = [];
      listener.onClose((reason) => reasons.push(reason.message));
      caller.onRecord(() => {
        throw new TypeError('cannot handle that');
      });
      const ended = closings(caller);
      listener.send([1]);
      await waitFor(() => reasons.length > 0, { describe: 'the end' });
      expect(ended).toEqual(['ProtocolError']);
      expect(reasons).toEqual([expect.stringContaining('cannot handle that')]);
    });
  });
}
