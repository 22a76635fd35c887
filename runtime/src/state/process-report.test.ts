import { beforeEach, describe, expect, it } from 'vitest';
import { ArgumentRef } from '../core/owned-objects.ts';
import { ObjectFreedError, ObjectLostError } from '../errors/errors.ts';
import type { BlobId, NodeId, ObjectId, ProcessId } from '../ids.ts';
import { ObjectRef, type AnyObjectRef, type RefOwnerRuntime } from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { TaskCall } from '../tasks/task-call.ts';
import type { TaskFunction } from '../tasks/task-function.ts';
import type { ReportedCore } from './known-refs.ts';
import { findRef, rowsOf } from './process-report.ts';

const SELF = 'p_000000000000000s' as ProcessId;
const BORROWER = 'p_000000000000000b' as ProcessId;
const OWNER = 'p_000000000000000w' as ProcessId;

let minted: number;
let exported: { id: ObjectId; pins: number; borrowers: ProcessId[]; ref: AnyObjectRef }[];
let stored: AnyObjectRef[];
let borrowed: { ref: AnyObjectRef; pins: number }[];
let tasks: TaskCall[];
let tasksLimit: number;

const runtime = {
  mintObjectId: () => `o_${String((minted += 1)).padStart(16, '0')}` as ObjectId,
  noteStored: () => undefined,
} as unknown as RefOwnerRuntime;

const core: ReportedCore = {
  processId: SELF,
  objects: {
    table: { entries: () => exported },
    borrowed: { entries: () => borrowed },
    storedRefs: () => stored,
  },
  actors: { callers: () => [] },
  tasks: {
    unfinished: (limit) => {
      tasksLimit = limit;
      return tasks.slice(0, limit);
    },
    get unfinishedCount() {
      return tasks.length;
    },
  },
};

beforeEach(() => {
  minted = 0;
  [exported, stored, borrowed, tasks] = [[], [], [], []];
});

function heapRef(sizeBytes: number): AnyObjectRef {
  const ref = new ObjectRef<unknown>(runtime);
  ref.resolve(new Payload(new Uint8Array(sizeBytes)));
  return ref;
}

function storedRef(sizeBytes: number, ref: AnyObjectRef = new ObjectRef(runtime)): AnyObjectRef {
  const agent = { processId: OWNER, machineId: 'm', nodeId: 'n_0000000000000001' as NodeId };
  const blobId = 'b_0000000000000001' as BlobId;
  const blob = { blobId, sizeBytes, agent, slot: undefined };
  ref.resolve(new StoredValue(blob as never, undefined, [], undefined));
  return ref;
}

function exports(ref: AnyObjectRef, pins: number, borrowers: ProcessId[] = []): AnyObjectRef {
  exported.push({ id: ref.id as ObjectId, pins, borrowers, ref });
  return ref;
}

function task(values: unknown[]): TaskCall {
  const submitter = { runtime, core: {} };
  const definition = { name: 'resize', definition: { maxRetries: 0 }, submitter };
  const call = new TaskCall(definition as unknown as TaskFunction, values, tasks.length + 1);
  tasks.push(call);
  return call;
}

describe('the report of a process', () => {
  it('tells of what has left it, and who borrows it', () => {
    const ref = exports(heapRef(10), 2, [BORROWER]);
    expect(rowsOf(core, {})).toEqual({
      total: 1,
      rows: [
        {
          objectId: ref.id,
          ownerId: SELF,
          state: 'ready',
          sizeBytes: 10,
          where: 'heap',
          holds: [{ how: 'in-value', times: 2 }],
          borrowers: [BORROWER],
        },
      ],
    });
  });

  it('tells of what is stored, though it never left it, and where it was stored', () => {
    stored.push(storedRef(500));
    expect(rowsOf(core, {}).rows).toMatchObject([
      {
        ownerId: SELF,
        sizeBytes: 500,
        where: 'store',
        blobId: 'b_0000000000000001',
        nodeId: 'n_0000000000000001',
        holds: [{ how: 'local-ref', times: 1 }],
      },
    ]);
  });

  it('tells of what it has borrowed, in whose name', () => {
    const ref = heapRef(1);
    ref.owner = { processId: OWNER, machineId: 'm' } as AnyObjectRef['owner'];
    borrowed.push({ ref, pins: 1 });
    expect(rowsOf(core, {}).rows).toMatchObject([
      {
        ownerId: OWNER,
        holds: [
          { how: 'local-ref', times: 1 },
          { how: 'in-value', times: 1 },
        ],
      },
    ]);
  });

  it('tells of tasks that are not over, and of their arguments', () => {
    const argument = exports(heapRef(5), 1);
    const large = storedRef(700, new ArgumentRef(runtime));
    stored.push(large);
    const first = task([argument, argument, 1]);
    task([argument]).extra().pins = [large];
    const { rows } = rowsOf(core, {});
    expect(rows.find(({ objectId }) => objectId === argument.id)?.holds).toContainEqual({
      how: 'call-argument',
      times: 2,
      call: 'task resize',
    });
    expect(rows.find(({ objectId }) => objectId === large.id)).toMatchObject({
      sizeBytes: 700,
      maker: { kind: 'argument' },
      holds: [{ how: 'call-argument', times: 1 }],
    });
    expect(rows.find(({ objectId }) => objectId === first.id)).toMatchObject({
      state: 'pending',
      maker: { kind: 'task', name: 'resize', phase: 'waiting-for-dependencies' },
    });
  });

  it('tells lost values and freed ones from calls that failed', () => {
    const failures = [new ObjectLostError('x'), new ObjectFreedError('y'), new TypeError('z')];
    for (const failure of failures) {
      const ref = new ObjectRef<unknown>(runtime);
      ref.reject(failure);
      exports(ref, 1);
    }
    expect(rowsOf(core, {}).rows.map(({ state, error }) => [state, error])).toEqual([
      ['lost', 'ObjectLostError: x'],
      ['freed', 'ObjectFreedError: y'],
      ['failed', 'TypeError: z'],
    ]);
  });

  it('has the largest first, and counts what it leaves out; ids are made for what it names', () => {
    for (const size of [1, 30, 20]) exports(heapRef(size), 1);
    for (let number = 0; number < 50; number += 1) task([]);
    const before = minted;
    const { rows, total } = rowsOf(core, { limit: 3 });
    expect(rows.map(({ sizeBytes }) => sizeBytes)).toEqual([30, 20, 1]);
    expect(total).toBe(53);
    expect(minted).toBe(before);
    expect(tasksLimit).toBeLessThanOrEqual(100_000);
  });

  it('is about the objects alone that were asked for', () => {
    const [one, two] = [exports(heapRef(1), 1), exports(heapRef(2), 1)];
    const objectIds = [two.id as ObjectId, 'o_000000000000000x' as ObjectId];
    const { rows, total } = rowsOf(core, { objectIds });
    expect([rows.map(({ objectId }) => objectId), total]).toEqual([[two.id], 1]);
    expect(findRef(core, one.id)).toBe(one);
    expect(findRef(core, 'o_000000000000000x')).toBeUndefined();
  });
});
