import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import type { NodeId, ObjectId, ProcessId } from '@manta/runtime/ids';
import type { PeerConnection, PendingReply } from '@manta/runtime/rpc/peer-connection';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import { ManualClock } from '@manta/runtime/testing/manual-clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import {
  ProcessInquiry,
  type NodeObjects,
  type ObjectRow,
  type ProcessReport,
} from '@manta/runtime/wire/object-messages';
import { beforeEach, describe, expect, it } from 'vitest';
import { ObjectInquiries, type LocalProcess } from './object-inquiries.ts';

const processId = (name: string): ProcessId => `p_${name.padEnd(16, '0')}` as ProcessId;
const objectId = (number: number): ObjectId => `o_${String(number).padStart(16, '0')}` as ObjectId;
const [QUICK, OTHER, STOPPED, GONE] = ['q', 'x', 's', 'g'].map(processId) as [
  ProcessId,
  ProcessId,
  ProcessId,
  ProcessId,
];

const local = (id: ProcessId): LocalProcess => ({
  processId: id,
  role: 'host',
  address: { processId: id, machineId: 'm' },
  pid: 1,
  actors: [],
});

function rows(count: number, ownerId: ProcessId): ObjectRow[] {
  return Array.from({ length: count }, (_, index) => ({
    objectId: objectId(index),
    ownerId,
    state: 'ready',
    sizeBytes: index,
    holds: [],
  }));
}

let clock: ManualClock;
let processes: LocalProcess[];
let reports: Map<ProcessId, ProcessReport>;
let asked: ProcessInquiry[];
let connects: number;
let replyBytesMax: number;
let inquiries: ObjectInquiries;

/** A process that answers at once, or never. */
function connectionTo(id: ProcessId): PeerConnection {
  let waiting: PendingReply | undefined;
  const send = (record: unknown[]): void => {
    asked.push(decodeControl(ProcessInquiry, record[2] as Uint8Array));
    const report = reports.get(id);
    if (report !== undefined) waiting?.onResult(encodeControl(report));
  };
  const expectReply = (reply: PendingReply): number => {
    waiting = reply;
    return 1;
  };
  return { channel: { send }, expect: expectReply } as unknown as PeerConnection;
}

beforeEach(() => {
  clock = new ManualClock();
  processes = [];
  reports = new Map();
  asked = [];
  connects = 0;
  replyBytesMax = 1_000_000;
  inquiries = new ObjectInquiries({
    clock,
    agent: () => ({ processId: processId('agent'), machineId: 'm' }) as ProcessAddress,
    nodeId: () => 'n_0000000000000001' as NodeId,
    processes: () => processes,
    connect: ({ processId: id }) => {
      connects += 1;
      return id === GONE
        ? Promise.reject(new ClusterUnavailableError('nobody listens'))
        : Promise.resolve(connectionTo(id));
    },
    store: () => undefined,
    replyBytesMax: () => replyBytesMax,
  });
});

const report = (id: ProcessId, count: number): void => {
  processes.push(local(id));
  reports.set(id, { pid: 2, program: 'x', rows: rows(count, id), total: count });
};

/** Lets what can go on without time go on. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('the objects of a node', () => {
  it('are those of its processes, the largest of all together', async () => {
    report(QUICK, 4);
    report(OTHER, 3);
    const { processes: answers } = await inquiries.answer({ limit: 3 });
    const sizes = answers.map((answer) => answer.report?.rows.map(({ sizeBytes }) => sizeBytes));
    expect(sizes).toEqual([[2, 3], [2]]);
    expect(answers.map((answer) => answer.report?.total)).toEqual([4, 3]);
  });

  it('are asked of those processes alone that are named', async () => {
    report(QUICK, 1);
    report(OTHER, 1);
    const query: NodeObjects = { processIds: [OTHER], objectIds: [objectId(0)], explain: true };
    const { processes: answers } = await inquiries.answer(query);
    expect(answers.map((answer) => answer.processId)).toEqual([OTHER]);
    expect(asked).toEqual([{ objectIds: [objectId(0)], explain: true }]);
  });

  it('come without those of a process that is stopped or gone, and say which it is', async () => {
    report(QUICK, 1);
    processes.push(local(STOPPED), local(GONE), { ...local(OTHER), address: undefined });
    const answering = inquiries.answer({ processTimeoutMs: 500 });
    await settled();
    clock.advance(500);
    const { processes: answers } = await answering;
    expect(answers.map((answer) => [answer.report?.total, answer.silence])).toEqual([
      [1, undefined],
      [undefined, 'it has not answered for 500 ms'],
      [undefined, 'it cannot be asked: nobody listens'],
      [undefined, 'its address is not known'],
    ]);
  });

  it('are not waited for a second time from a process that still owes an answer', async () => {
    processes.push(local(STOPPED));
    const first = inquiries.answer({});
    await settled();
    clock.advance(1_500);
    await first;
    const { processes: answers } = await inquiries.answer({});
    expect(answers[0]?.silence).toBe('it has not answered for 1500 ms');
    expect(connects).toBe(1);
  });

  it('fit into a message: the smallest are left out', async () => {
    report(QUICK, 1_000);
    replyBytesMax = 20_000;
    const reply = await inquiries.answer({ limit: 1_000 });
    const kept = reply.processes[0]?.report?.rows ?? [];
    expect(encodeControl(reply).byteLength).toBeLessThan(20_000);
    expect(kept.length).toBeGreaterThan(50);
    expect(kept[0]?.sizeBytes).toBe(1_000 - kept.length);
    expect(reply.processes[0]?.report?.total).toBe(1_000);
  });

  it('are refused when too many ask at once', async () => {
    processes.push(local(STOPPED));
    const open = Array.from({ length: 32 }, () => inquiries.answer({}));
    await expect(inquiries.answer({})).rejects.toMatchObject({ name: 'BackpressureError' });
    await settled();
    clock.advance(1_000);
    await Promise.all(open);
    await expect(inquiries.answer({})).resolves.toBeDefined();
  });
});
