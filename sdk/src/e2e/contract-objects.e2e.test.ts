import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isElsewhere } from '@manta/runtime/objects/stored-value';
import {
  explain,
  free,
  get,
  init,
  listObjects,
  type ObjectRef,
  put,
  shutdown,
  wait,
} from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { GateActor } from './fixtures/gates.ts';
import { add, count, echo, failTimes, makeBytes } from './fixtures/tasks.ts';
import { coreOf } from './testing/core.ts';
import { failureOf, Journals } from './testing/journal.ts';

const MIB = 2 ** 20;
const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({
    nodes: [{ cpus: 4 }, { cpus: 4, objectStoreBytes: 64 * MIB }],
  });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

const isOnThisNode = (ref: ObjectRef<unknown>): boolean =>
  !isElsewhere((ref as unknown as { content: unknown }).content);

describe('refs', () => {
  it('are promises that can be used again', async () => {
    const ref = add(1, 2);
    const seen: string[] = [];
    expect(await ref.finally(() => void seen.push('finally'))).toBe(3);
    expect(await ref.catch(() => void seen.push('catch'))).toBe(3);
    expect(await ref.then((value) => value + 1)).toBe(4);
    const failing = failTimes(journals.create().file, 9, 'OddError');
    expect(await failing.catch((error: Error) => error.name)).toBe('TaskError');
    expect((await failureOf(failing.finally(() => void seen.push('again')))).name).toBe(
      'TaskError',
    );
    expect(seen).toEqual(['finally', 'again']);
    expect(await Promise.all([ref, put('a')])).toEqual([3, 'a']);
  });

  it('have an id that stays, and a short form for people and for JSON', async () => {
    const ref = put({ secret: 'of the user' });
    const { id } = ref;
    expect(id).toMatch(/^o_/);
    const back = (await echo({ ref })) as { ref: ObjectRef<unknown> };
    expect(back.ref.id).toBe(id);
    expect(JSON.stringify({ ref, task: add(1, 2) })).toMatch(
      new RegExp(`^{"ref":"ObjectRef\\(${id}\\)","task":"ObjectRef\\(o_\\w+\\)"}$`),
    );
    expect(inspect(ref)).toBe(`ObjectRef(${id}, ready)`);
    expect(inspect(back.ref)).toMatch(/^ObjectRef\(o_\w+, (pending|ready)\)$/);
    expect(JSON.stringify(count(3))).toBe('"ObjectRefStream"');
    expect(inspect(count(3))).toBe('ObjectRefStream');
  });

  it('that were disposed of say so, and their objects are gone', async () => {
    const ref = put(new Uint8Array(MIB));
    const { id } = ref;
    ref[Symbol.dispose]();
    expect(await failureOf(get(ref))).toMatchObject({ name: 'ObjectFreedError' });
    const ids = (await listObjects()).map((object) => (object as { objectId: string }).objectId);
    expect(ids).not.toContain(id);
  });
});

describe('put()', () => {
  it('takes the value as it is now', async () => {
    for (const length of [10, MIB]) {
      const value = { numbers: new Uint8Array(length), text: 'before' };
      const ref = put(value);
      value.numbers.fill(9);
      value.text = 'after';
      const got = await get(ref);
      expect([got.text, got.numbers[0], got.numbers.length]).toEqual(['before', 0, length]);
    }
  });

  it('names the path of what cannot be kept', () => {
    expect(() => put({ list: [() => 1] })).toThrow(
      expect.objectContaining({ name: 'SerializationError', path: 'value.list[0]' }),
    );
  });
});

describe('get()', () => {
  it('gives lists in their order, with types of each, and nothing for nothing', async () => {
    const [text, sum, nothing] = await get([put('a'), add(1, 2), put(undefined)]);
    expect([text.length, sum.toFixed(1), nothing]).toEqual([1, '3.0', undefined]);
    expect(await get([])).toEqual([]);
    const twice = put({ n: 1 });
    expect(await get([twice, twice])).toEqual([{ n: 1 }, { n: 1 }]);
  });

  it('gives the first failure of a list, and asks once with a timeout of 0', async () => {
    const gate = GateActor.create();
    const pending = gate.pass();
    const failing = failTimes(journals.create().file, 9, 'OddError');
    expect(await failureOf(get([pending, failing]))).toMatchObject({ name: 'TaskError' });
    expect(await failureOf(get(pending, { timeoutMs: 0 }))).toMatchObject({
      name: 'GetTimeoutError',
      retryable: true,
    });
    expect(await get(put(7), { timeoutMs: 0 })).toBe(7);
  });
});

describe('wait()', () => {
  it('gives so many as were asked for, in the order of the list, failures too', async () => {
    const gate = GateActor.create();
    const pending = gate.pass();
    const failing = failTimes(journals.create().file, 9, 'OddError') as ObjectRef<string>;
    const refs = [pending, failing, put('a'), put('b')];
    const two = await wait(refs, { numReturns: 2, timeoutMs: 10_000 });
    expect(two.ready).toHaveLength(2);
    expect(two.pending).toHaveLength(2);
    const three = await wait(refs, { numReturns: 3 });
    expect(three).toEqual({ ready: refs.slice(1), pending: [pending] });
    expect(await wait(refs, { numReturns: 4, timeoutMs: 20 })).toEqual(three);
    expect((await wait([pending], { timeoutMs: 0 })).ready).toEqual([]);
    await expect(wait(refs, { numReturns: 5 })).rejects.toThrow(/numReturns/);
    await expect(wait(refs, { numReturns: 0 })).rejects.toThrow(/numReturns/);
  });

  it('brings values to this node, unless it is told not to', async () => {
    const own = coreOf(put(0)).store.agent?.nodeId;
    const other = cluster.nodes.find(({ nodeId }) => nodeId !== own)?.nodeId as string;
    const elsewhere = makeBytes.options({ scheduling: { nodeId: other } });
    const [stays, comes] = [elsewhere(4 * MIB, 1), elsewhere(4 * MIB, 2)];
    const anywhere = await wait([stays, comes], { numReturns: 2, fetchLocal: false });
    expect(anywhere.pending).toEqual([]);
    expect([stays, comes].map(isOnThisNode)).toEqual([false, false]);
    expect((await wait([comes])).ready).toEqual([comes]);
    expect([stays, comes].map(isOnThisNode)).toEqual([false, true]);
    expect((await get([stays, comes])).map((bytes) => bytes[0])).toEqual([1, 2]);
  });
});

describe('objectStoreBytes', () => {
  it('is the most that a node takes', async () => {
    const scheduling = { nodeId: cluster.nodes[1]?.nodeId as string };
    const failure = await failureOf(makeBytes.options({ scheduling })(80 * MIB, 1));
    expect(failure).toMatchObject({ name: 'ObjectStoreFullError', retryable: true });
    expect(failure.message).toMatch(/can never fit/);
  });
});

describe('free()', () => {
  it('fails who asks later, whatever the state was', async () => {
    const gate = GateActor.options({ maxConcurrency: 2 }).create();
    const [small, large, pending] = [put({ a: 1 }), put(new Uint8Array(MIB)), gate.pass()];
    const waiting = failureOf(pending);
    await free([small, large, pending]);
    for (const ref of [small, large, pending] as ObjectRef<unknown>[])
      expect(await failureOf(get(ref))).toMatchObject({
        name: 'ObjectFreedError',
        message: expect.stringContaining(ref.id) as string,
      });
    expect((await waiting).name).toBe('ObjectFreedError');
    await gate.open();
  });
});

describe('listObjects() and explain()', () => {
  it('know what there is, and what became of it', async () => {
    const gate = GateActor.create();
    const ref = put({ a: 1 });
    await gate.keep({ ref });
    const mine = (await listObjects()).find(
      (object) => (object as { objectId: string }).objectId === ref.id,
    );
    expect(mine).toMatchObject({ objectId: ref.id, state: 'ready' });
    expect(await explain(ref)).toMatchObject({ state: 'ready' });
    const failing = failTimes(journals.create().file, 9, 'OddError');
    await failureOf(failing);
    expect(await explain(failing)).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('failTimes failed: it fails') as string,
    });
  });
});
