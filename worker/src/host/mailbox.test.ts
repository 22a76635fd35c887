// oxlint-disable vitest/no-conditional-expect -- the model of the history says what to expect
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_GROUP, Mailbox, type MailboxEntry } from './mailbox.ts';

interface Entry extends MailboxEntry {
  id: number;
}
const LIMITS: Record<string, number> = { [DEFAULT_GROUP]: 2, io: 1, compute: 3 };
const { [DEFAULT_GROUP]: defaultLimit = 1, ...groups } = LIMITS;

type Step =
  { type: 'accept'; group: string } | { type: 'end' | 'cancel'; pick: number } | { type: 'clear' };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('accept' as const),
      group: fc.constantFrom(...Object.keys(LIMITS)),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('end' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('cancel' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ type: 'clear' as const }) },
);

/** The same rules, written as simply as can be. */
class Model {
  readonly running: Entry[] = [];
  queued: Entry[] = [];

  runningIn(group: string): number {
    return this.running.filter((entry) => entry.group === group).length;
  }

  next(group: string): Entry | undefined {
    const found = this.queued.find((entry) => entry.group === group && !entry.cancelled);
    const before = this.queued.filter((entry) => entry.group === group);
    const dropped = new Set(
      found === undefined ? before : before.slice(0, before.indexOf(found) + 1),
    );
    this.queued = this.queued.filter((entry) => !dropped.has(entry));
    return found;
  }
}

describe('mailbox', () => {
  it('runs at most so many of a group, in order of arrival, and never what was cancelled', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const mailbox = new Mailbox<Entry>(defaultLimit, groups);
        const model = new Model();
        let nextId = 0;
        for (const current of steps) {
          if (current.type === 'accept') {
            const entry = { id: nextId++, group: current.group, cancelled: false };
            const runs = mailbox.accept(entry);
            const isFree = model.runningIn(entry.group) < (LIMITS[entry.group] ?? 0);
            expect(runs).toBe(isFree && !model.queued.some(({ group }) => group === entry.group));
            (runs ? model.running : model.queued).push(entry);
          } else if (current.type === 'end' && model.running.length > 0) {
            const [ended] = model.running.splice(current.pick % model.running.length, 1) as [Entry];
            const next = mailbox.next(ended.group);
            expect(next).toBe(model.next(ended.group));
            if (next !== undefined) model.running.push(next);
          } else if (current.type === 'cancel' && model.queued.length > 0) {
            (model.queued[current.pick % model.queued.length] as Entry).cancelled = true;
          } else if (current.type === 'clear') {
            const alive = model.queued.filter(({ cancelled }) => !cancelled);
            expect(new Set(mailbox.clear())).toEqual(new Set(alive));
            model.queued = [];
          }
          for (const [group, limit] of Object.entries(LIMITS))
            expect(model.runningIn(group)).toBeLessThanOrEqual(limit);
          expect([mailbox.running, mailbox.queued]).toEqual([
            model.running.length,
            model.queued.length,
          ]);
          expect(mailbox.idle).toBe(model.running.length + model.queued.length === 0);
        }
      }),
    );
  });

  it('keeps its order over a queue that is long', () => {
    const mailbox = new Mailbox<Entry>(1);
    const entries = Array.from({ length: 5000 }, (_, id) => ({
      id,
      group: DEFAULT_GROUP,
      cancelled: id % 7 === 3,
    }));
    expect(mailbox.accept(entries[0] as Entry)).toBe(true);
    for (const entry of entries.slice(1)) expect(mailbox.accept(entry)).toBe(false);
    const ran: number[] = [0];
    for (
      let next = mailbox.next(DEFAULT_GROUP);
      next !== undefined;
      next = mailbox.next(DEFAULT_GROUP)
    )
      ran.push(next.id);
    expect(ran).toEqual(entries.filter(({ cancelled }) => !cancelled).map(({ id }) => id));
    expect(mailbox.idle).toBe(true);
  });

  it('has one default group, whatever else is called so', () => {
    const mailbox = new Mailbox<Entry>(1, { [DEFAULT_GROUP]: 5 });
    const entries = [0, 1].map((id) => ({ id, group: DEFAULT_GROUP, cancelled: false }));
    expect(entries.map((entry) => mailbox.accept(entry))).toEqual([true, false]);
    expect(mailbox.clear()).toEqual([entries[1]]);
  });

  it('knows its groups', () => {
    const mailbox = new Mailbox<Entry>(1, { io: 1 });
    expect(['io', DEFAULT_GROUP, 'other', 'constructor'].map((name) => mailbox.has(name))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
