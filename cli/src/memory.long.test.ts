/** Who holds what, as people and programs ask for it: real processes on two nodes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterObject, ClusterObjects } from '@manta/runtime/state/cluster-objects';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { systemClock } from '@manta/runtime/time/clock';
import { explain, free, get, init, kill, listObjects, listTasks, put, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from './run.ts';
import { HolderActor, plusOne } from './testing/holder-actor.ts';

const MIB = 2 ** 20;

interface Memory extends Omit<ClusterObjects, 'objects'> {
  objects: ClusterObject[];
  matching: number;
}

let home: string;
let cluster: TestCluster;
/** Not the node that this program is linked to. */
let farNode: TestNode;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'mm-'));
  const objectStoreBytes = 24 * MIB;
  cluster = await startTestCluster({
    // A node that is stopped for a moment stays in the list.
    failureDetectionMs: 60_000,
    nodes: [
      { cpus: 3, objectStoreBytes },
      { cpus: 3, objectStoreBytes },
    ],
  });
  const { nodeId } = await init({ address: cluster.address, logToDriver: false });
  farNode = cluster.nodes.find((node) => node.nodeId !== nodeId) as TestNode;
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

async function manta(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: string[][] = [[], []];
  const code = await run(args, {
    environment: { MANTA_ADDRESS: cluster.address },
    home,
    clock: systemClock,
    out: (text) => out?.push(text),
    err: (text) => err?.push(text),
    columns: undefined,
    interrupted: new AbortController().signal,
  });
  return { code, out: out?.join('\n') ?? '', err: err?.join('\n') ?? '' };
}

async function memory(...args: string[]): Promise<Memory> {
  const { code, out, err } = await manta('memory', ...args, '--json');
  expect(code, err).toBe(0);
  return JSON.parse(out) as Memory;
}

const createFar = () => HolderActor.options({ scheduling: { nodeId: farNode.nodeId } }).create();

const find = async (objectId: string): Promise<ClusterObject | undefined> =>
  (await memory('--limit', '1000', '--collect')).objects.find(
    (object) => object.objectId === objectId,
  );

describe('an object of a driver that an actor on another node holds', () => {
  it('is shown with owner, place and holder, and is gone when both have let go', async () => {
    const actor = createFar();
    const ref = put(new Uint8Array(3 * MIB).fill(1));
    const pid = await actor.hold({ ref });
    const shown = await waitFor(
      async () => {
        const object = await find(ref.id);
        return object?.holders.some(({ how }) => how === 'captured-in-actor') ? object : undefined;
      },
      { describe: 'the actor holds the object' },
    );
    expect(shown).toMatchObject({ state: 'ready', where: 'memory', places: [{ where: 'memory' }] });
    expect(shown.sizeBytes).toBeGreaterThanOrEqual(3 * MIB);
    expect(shown.holders).toContainEqual(
      expect.objectContaining({
        how: 'captured-in-actor',
        nodeId: farNode.nodeId,
        className: 'Holder',
      }),
    );
    const { processes } = await memory();
    const owner = processes.find(({ processId }) => processId === shown.ownerId);
    expect(owner).toMatchObject({ role: 'driver', pid: process.pid });
    const holder = processes.find(({ processId }) => processId === shown.holders[0]?.processId);
    expect(holder).toMatchObject({ role: 'host', pid, nodeId: farNode.nodeId });

    const listed = await listObjects({ ownerId: shown.ownerId, minBytes: MIB });
    expect(listed.map(({ objectId }) => objectId)).toContain(ref.id);
    const why = await manta('why', ref.id);
    expect(why.out).toMatch(/is ready: The value is there: 3 MiB in the shared memory of node n_/);
    expect(why.out).toMatch(/held by actor Holder a_/);
    expect((await explain(ref)).reason).toMatch(/held by actor Holder a_/);

    await actor.drop();
    ref[Symbol.dispose]();
    await waitFor(async () => (await find(ref.id)) === undefined, {
      describe: 'nobody knows the object',
    });
    const unknown = await manta('why', ref.id);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toMatch(/no process of the cluster knows object o_.*manta list objects/);
    await kill(actor);
  });

  it('that is durable is its node’s, whoever has refs', async () => {
    const ref = put(new Uint8Array(2 * MIB), { durable: true });
    const object = await waitFor(
      async () => {
        const found = await find(ref.id);
        return found?.state === 'ready' ? found : undefined;
      },
      { describe: 'the object is written' },
    );
    expect(object.holders[0]?.how).toBe('durable');
    expect(object.sizeBytes).toBeGreaterThanOrEqual(2 * MIB);
    expect((await manta('why', ref.id)).out).toMatch(/is ready: .*agent of node n_.* durable/);
    expect(await explain(ref)).toMatchObject({ state: 'ready' });
    await free([ref]);
    await waitFor(async () => (await find(ref.id))?.state === 'freed', { describe: 'it is freed' });
    ref[Symbol.dispose]();
  });

  it('has a place on each node that pulled it', async () => {
    const actor = createFar();
    const ref = put(new Uint8Array(2 * MIB).fill(1));
    await actor.take(ref as never);
    const object = await find(ref.id);
    expect(object?.places.map(({ nodeId }) => nodeId).sort()).toEqual(
      cluster.nodes.map(({ nodeId }) => nodeId).sort(),
    );
    ref[Symbol.dispose]();
    await kill(actor);
  });

  it('is shown as made by the call whose result it is', async () => {
    const actor = createFar();
    const ref = actor.make(2 * MIB);
    await get(ref);
    expect((await find(ref.id))?.maker).toMatchObject({ kind: 'actor-call', name: 'Holder.make' });
    await kill(actor);
  });
});

describe('objects that memory has no room for', () => {
  it('are shown as spilled, in tables and in sums', async () => {
    const refs = Array.from({ length: 8 }, () => put(new Uint8Array(4 * MIB).fill(7)));
    for (const ref of refs) await get(ref);
    const spilled = await waitFor(
      async () => {
        const { objects, nodes } = await memory('--where', 'spilled');
        return objects.length > 0 ? { objects, nodes } : undefined;
      },
      { describe: 'something is on disk' },
    );
    expect(refs.map(({ id }) => id)).toContain(spilled.objects[0]?.objectId);
    expect(spilled.objects[0]?.places[0]?.where).toBe('spilled');
    expect(spilled.nodes.some(({ store }) => (store?.spillFiles ?? 0) > 0)).toBe(true);
    const { out } = await manta('memory', '--group-by', 'owner');
    expect(out).toMatch(/^NODE +NAME +USED +FULL/);
    expect(out).toMatch(/OWNER +WHAT +OBJECTS +PENDING +IN HEAP +IN MEMORY +SPILLED +LARGEST/);
    for (const ref of refs) ref[Symbol.dispose]();
  });
});

describe('a process that is stopped', () => {
  it('is named, and holds the answer up no longer than its time', async () => {
    const actor = createFar();
    const ref = put(new Uint8Array(MIB));
    const pid = await actor.hold({ ref });
    process.kill(pid, 'SIGSTOP');
    try {
      const { processes, objects } = await memory();
      expect(processes.find((entry) => entry.pid === pid)?.silence).toMatch(/has not answered/);
      const object = objects.find(({ objectId }) => objectId === ref.id);
      expect(object?.holders).toContainEqual(
        expect.objectContaining({ how: 'lent', className: 'Holder' }),
      );
      expect((await manta('memory')).out).toMatch(/process p_\w+ \(Holder, pid \d+\) .* left out/);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await kill(actor);
  });
});

describe('a node that is stopped', () => {
  it('is named, and the others answer', async () => {
    farNode.pause();
    try {
      const [{ nodes }, { out }] = await Promise.all([memory(), manta('memory')]);
      const [silent, answering] = [true, false].map((isFar) =>
        nodes.find(({ nodeId }) => (nodeId === farNode.nodeId) === isFar),
      );
      expect(silent?.silence).toMatch(/./);
      expect(silent?.store).toBeUndefined();
      expect(answering?.store).toBeDefined();
      expect(out).toMatch(/node n_\w+ did not answer/);
    } finally {
      farNode.resume();
    }
  });
});

describe('what is not there yet', () => {
  it('is explained through all that it waits for, objects and tasks', async () => {
    const [first, second] = [HolderActor.create(), HolderActor.create()];
    await Promise.all([first.take(1), second.take(1)]);
    const blocked = first.block();
    const waiting = second.take(blocked as never);
    const task = plusOne(waiting as never);
    const explained = await waitFor(
      async () => {
        const { out } = await manta('why', task.id);
        return out.includes('runs in actor') ? out : undefined;
      },
      { describe: 'the explanation reaches the call that runs' },
    );
    expect(explained).toMatch(
      /is waiting-for-dependencies.*Task plusOne waits for its arguments: .*Holder\.take waits for its arguments: .*Holder\.block runs in actor a_/s,
    );
    const [entry] = await listTasks({ name: 'plusOne', state: 'pending-args' });
    expect((await manta('why', entry?.taskId ?? '')).out).toContain('Holder.block runs in actor');
    const pending = await memory('--state', 'pending');
    expect(pending.objects.map(({ objectId }) => objectId)).toContain(task.id);
    await first.go();
    expect(await task).toBe(2);
    const over = await manta('why', entry?.taskId ?? '');
    expect(over.code).toBe(2);
    expect(over.err).toMatch(/has no such task that is not over/);
    await Promise.all([kill(first), kill(second)]);
  });
});

describe('for programs', () => {
  it('the fields stay what they are', async () => {
    const ref = put(new Uint8Array(MIB));
    const actor = HolderActor.create();
    await actor.hold({ ref });
    const found = await memory('--limit', '1');
    expect(Object.keys(found)).toEqual(['nodes', 'objects', 'matching', 'leftOut', 'processes']);
    expect(Object.keys(found.nodes[0] ?? {})).toEqual(['nodeId', 'name', 'store']);
    expect(Object.keys(found.nodes[0]?.store ?? {}).sort()).toEqual([
      'copies',
      'diskBytes',
      'durable',
      'evictions',
      'kind',
      'limitBytes',
      'restoredBytes',
      'spillFiles',
      'spilled',
      'spilledBytes',
      'usedBytes',
    ]);
    const listed = await manta('list', 'objects', '--json', '--min-size', '1MiB');
    const [object] = JSON.parse(listed.out) as ClusterObject[];
    expect(Object.keys(object ?? {})).toEqual(
      expect.arrayContaining(['objectId', 'ownerId', 'state', 'sizeBytes', 'where', 'places']),
    );
    const groups = JSON.parse((await manta('memory', '--group-by', 'node', '--json')).out) as {
      groups: object[];
    };
    expect(Object.keys(groups.groups[0] ?? {})).toEqual([
      'id',
      'objects',
      'heapBytes',
      'memoryBytes',
      'spilledBytes',
      'pending',
      'largest',
    ]);
    await kill(actor);
    ref[Symbol.dispose]();
  });

  it('wrong use is told apart', async () => {
    expect((await manta('memory', '--node', 'moon')).err).toMatch(/--node: .* no node "moon"/);
    expect((await manta('list', 'objects', '--holder', 'x')).err).toMatch(/--holder: "x" is no id/);
    expect((await manta('why', 't_1')).err).toMatch(/no id of a task/);
    expect((await manta('why', 'o_0000000000000000')).code).toBe(2);
    await expect(listObjects({ limit: 0 })).rejects.toMatchObject({
      name: 'InvalidArgumentError',
    });
  });
});
