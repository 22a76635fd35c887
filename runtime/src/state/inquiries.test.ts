import { describe, expect, it } from 'vitest';
import type { Channel, ChannelRecord } from '../channel/channel.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import { ObjectRef, type AnyObjectRef, type RefOwnerRuntime } from '../objects/object-ref.ts';
import { RECORD } from '../rpc/records.ts';
import { decodeControl, encodeControl } from '../serialization/control-codec.ts';
import { decodeError } from '../serialization/error-codec.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { waitFor } from '../testing/wait-for.ts';
import { ProcessReport, type ProcessInquiry } from '../wire/object-messages.ts';
import { Inquiries } from './inquiries.ts';

const SELF = 'p_000000000000000s' as ProcessId;
const runtime = {} as RefOwnerRuntime;

function pending(number: number): AnyObjectRef {
  const ref = new ObjectRef<unknown>(runtime);
  ref.objectId = `o_${String(number).padStart(16, '0')}` as ObjectId;
  return ref;
}

function createInquiries(refs: AnyObjectRef[], borrowers: ProcessId[] = []): Inquiries {
  const entries = refs.map((ref) => ({ id: ref.id as ObjectId, pins: 0, borrowers, ref }));
  return new Inquiries({
    processId: SELF,
    clock: new ManualClock(),
    lineage: { describe: () => undefined },
    objects: {
      table: { entries: () => entries },
      borrowed: { entries: () => [] },
      storedRefs: () => [],
    },
    actors: { callers: () => [] },
    tasks: { unfinished: () => [], unfinishedCount: 0 },
  } as unknown as ConstructorParameters<typeof Inquiries>[0]);
}

class FakeChannel {
  readonly sent: ChannelRecord[] = [];
  send(record: ChannelRecord): void {
    this.sent.push(record);
  }
}

async function ask(inquiries: Inquiries, question: unknown): Promise<ChannelRecord> {
  const channel = new FakeChannel();
  inquiries.receive(channel as unknown as Channel, [RECORD.inquire, 7, question]);
  await waitFor(() => channel.sent.length > 0, { describe: 'an answer' });
  return channel.sent[0] as ChannelRecord;
}

async function report(inquiries: Inquiries, inquiry: ProcessInquiry): Promise<ProcessReport> {
  const [kind, call, bytes] = await ask(inquiries, encodeControl(inquiry));
  expect([kind, call]).toEqual([RECORD.result, 7]);
  return decodeControl(ProcessReport, bytes as Uint8Array);
}

describe('a question to a process', () => {
  it('is answered with who it is and what it knows', async () => {
    const answer = await report(createInquiries([pending(1)]), {});
    expect(answer).toMatchObject({ pid: process.pid, total: 1, rows: [{ state: 'pending' }] });
    expect(answer.explanation).toBeUndefined();
  });

  it('about one object is answered with why it is not there', async () => {
    const inquiries = createInquiries([pending(1), pending(2)]);
    const objectIds = [pending(2).objectId as ObjectId];
    const answer = await report(inquiries, { objectIds, explain: true });
    expect(answer.rows.map(({ objectId }) => objectId)).toEqual(objectIds);
    expect(answer.explanation).toMatchObject({ state: 'pending' });
  });

  it('about a task that it does not have is answered with nothing', async () => {
    const answer = await report(createInquiries([pending(1)]), { taskId: 't_x_1', explain: true });
    expect(answer).toMatchObject({ rows: [], total: 0 });
    expect(answer.explanation).toBeUndefined();
  });

  it('is answered in one message, however much there is to tell', async () => {
    const borrowers = Array.from({ length: 500 }, () => SELF);
    const refs = Array.from({ length: 2_000 }, (_, number) => pending(number));
    const answer = await report(createInquiries(refs, borrowers), { limit: 2_000 });
    expect(answer.rows).toHaveLength(500);
    expect(answer.total).toBe(2_000);
  });

  it.each([
    ['text', 'ProtocolError'],
    [new Uint8Array([9, 9]), 'ProtocolError'],
    [encodeControl({ objectIds: ['x'] }), 'ProtocolError'],
    [encodeControl({ limit: 1e9 }), 'ProtocolError'],
  ])('that is malformed is refused', async (question, name) => {
    const [kind, , error] = await ask(createInquiries([]), question);
    expect(kind).toBe(RECORD.failure);
    expect(decodeError(error as Uint8Array)).toMatchObject({ name });
  });

  it('is refused when too many are open', async () => {
    const inquiries = createInquiries([]);
    const channel = new FakeChannel();
    const question = encodeControl({ collectGarbage: true });
    for (let count = 0; count < 65; count += 1)
      inquiries.receive(channel as unknown as Channel, [RECORD.inquire, count, question]);
    expect(channel.sent.map(([kind, call]) => [kind, call])).toEqual([[RECORD.failure, 64]]);
    await waitFor(() => channel.sent.length === 65, { describe: 'the others are answered' });
    expect(await report(inquiries, {})).toMatchObject({ total: 0 });
  });
});
