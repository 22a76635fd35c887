import fc from 'fast-check';
import type { NodeEvent } from '@manta/runtime/wire/messages';
import { encodeControl } from '@manta/runtime/serialization/control-codec';
import { LIMITS } from '@manta/runtime/wire/limits';
import { describe, expect, it } from 'vitest';
import { testMint } from '../testing/fake-head.ts';
import { ReportQueue } from './report-queue.ts';

const linked = (): NodeEvent => ({ type: 'driver-linked', processId: testMint('process') });

describe('ReportQueue', () => {
  it('delivers every event once and in order, whatever is acknowledged when', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant('push'), fc.nat(5)), { maxLength: 60 }),
        (steps) => {
          const queue = new ReportQueue();
          const pushed: NodeEvent[] = [];
          const taken: NodeEvent[] = [];
          const acknowledge = (count: number): void => {
            const report = queue.head();
            if (report === undefined) return;
            expect(report.firstSequence).toBe(taken.length + 1);
            taken.push(...report.events.slice(0, count));
            queue.acknowledge(report.firstSequence + Math.min(count, report.events.length));
          };
          for (const step of steps) {
            if (step === 'push') {
              const event = linked();
              pushed.push(event);
              queue.push(event);
            } else {
              acknowledge(step as number);
            }
          }
          while (queue.size > 0) acknowledge(1_000);
          expect(taken).toEqual(pushed);
        },
      ),
    );
  });

  it('keeps a report below the size of a message', () => {
    const queue = new ReportQueue();
    const cause = { kind: 'constructor-failed', message: 'no' };
    for (let index = 0; index < 10; index += 1) {
      const encodedError = new Uint8Array(LIMITS.encodedErrorBytes - 1024);
      queue.push({
        type: 'actor-ended',
        actorId: testMint('actor'),
        incarnation: 0,
        cause,
        encodedError,
      });
    }
    const huge = new Uint8Array(2 * LIMITS.encodedErrorBytes);
    queue.push({
      type: 'actor-ended',
      actorId: testMint('actor'),
      incarnation: 1,
      cause,
      encodedError: huge,
    });
    expect(queue.head()?.events.length).toBe(4);
    queue.acknowledge(11);
    expect(queue.head()?.events).toMatchObject([{ incarnation: 1, cause }]);
    expect(queue.head()?.events[0]).not.toHaveProperty('encodedError');
  });

  it('cuts words that are longer than a message may have, and counts those that are not', () => {
    const queue = new ReportQueue();
    const ended = (length: number): void => {
      const cause = { kind: 'constructor-failed', message: '€'.repeat(length) };
      queue.push({ type: 'actor-ended', actorId: testMint('actor'), incarnation: 0, cause });
    };
    ended(9 * 2 ** 20);
    for (let index = 0; index < 500; index += 1) ended(LIMITS.causeLength);
    const [first] = queue.head()?.events ?? [];
    expect(first).toMatchObject({ cause: { message: expect.stringMatching(/ more characters/) } });
    let delivered = 0;
    for (let report = queue.head(); report !== undefined; report = queue.head()) {
      expect(encodeControl(report).length).toBeLessThan(LIMITS.controlMessageBytes);
      delivered += report.events.length;
      queue.acknowledge(report.firstSequence + report.events.length);
    }
    expect(delivered).toBe(501);
  });

  it('ignores an acknowledgement of what is gone', () => {
    const queue = new ReportQueue();
    queue.push(linked());
    queue.push(linked());
    queue.acknowledge(2);
    queue.acknowledge(1);
    expect(queue.head()).toMatchObject({ firstSequence: 2, events: [{}] });
  });
});
