import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker, type Broker } from '@manta/runtime/broker/broker';
import { waitFor } from '@manta/runtime/testing/wait-for';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// Processes and threads are started from what was compiled, so the node is taken from there too.
import { startNode, type RunningNode } from '../../dist/main.js';
import { endCommand, FakeHead, startCommand, testLease, testMint } from '../testing/fake-head.ts';

const TOKEN = 'test-token';
const FAKE_HOST = new URL('../../dist/testing/fake-host.js', import.meta.url).pathname;

let broker: Broker;
let head: FakeHead;
let directory: string;
let node: RunningNode;

beforeEach(async () => {
  broker = await startBroker({ port: 0, token: TOKEN });
  head = await FakeHead.start(broker.url, TOKEN);
  directory = mkdtempSync(join(tmpdir(), 'manta-'));
  const simulatedGpus = { count: 1, memoryBytes: 1024, model: 'T4' };
  const programs = { host: FAKE_HOST };
  const options = { natsUrl: broker.url, token: TOKEN, directory, cpus: 2, poolSize: 1, programs };
  node = await startNode({ ...options, simulatedGpus });
});

afterEach(async () => {
  await node.close();
  await head.close();
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

async function until(condition: () => unknown, timeoutMs = 10_000): Promise<void> {
  await waitFor(condition, { timeoutMs, describe: String(condition) });
}

/** The process that the lease got. */
async function start(spec: ActorSpec, gpuIndexes: number[] = []): Promise<number> {
  await head.command(node.nodeId, { type: 'start-actor', spec, incarnation: 0, gpuIndexes });
  const find = () =>
    head.eventsOf('actor-started').find(({ actor }) => actor.actorId === spec.actorId);
  await until(find);
  return find()?.actor.pid ?? 0;
}

async function giveBack(spec: ActorSpec): Promise<void> {
  await head.command(node.nodeId, endCommand(spec, 'return'));
  await until(() => head.eventsOf('actor-ended').some(({ actorId }) => actorId === spec.actorId));
}

describe('leases on a node', () => {
  it('leave their process to the next one of their job', async () => {
    const jobId = testMint('job');
    const first = testLease('Ok', jobId);
    const pid = await start(first);
    await giveBack(first);
    expect(head.eventsOf('actor-ended')[0]?.cause.kind).toBe('returned');
    expect(await start(testLease('Ok'))).not.toBe(pid);
    const second = testLease('Ok', jobId);
    expect(await start(second)).toBe(pid);
    expect(head.eventsOf('process-ended')).toEqual([]);
    await giveBack(second);
    await head.command(node.nodeId, { type: 'end-job', jobId });
    await until(() => head.eventsOf('process-ended').length === 1);
  });

  it('that had a device leave nothing', async () => {
    const lease = testLease('Ok');
    await start(lease, [0]);
    await giveBack(lease);
    await until(() => head.eventsOf('process-ended').length === 1);
    expect(head.events.map(({ type }) => type)).toEqual([
      'actor-started',
      'actor-ended',
      'process-ended',
    ]);
  });

  it('end when their process does not give them back', async () => {
    const lease = testLease('Busy');
    await start(lease);
    await giveBack(lease);
    await until(() => head.eventsOf('process-ended').length === 1);
    expect(head.eventsOf('actor-ended')).toHaveLength(1);
  });

  it('are told to a new head, with those that wait and the processes between two leases', async () => {
    const waits = testLease('Waits');
    const returned = testLease('Ok');
    await start(waits);
    await start(returned);
    await giveBack(returned);
    await until(() => head.eventsOf('actor-blocked').length === 2);
    expect(head.eventsOf('actor-unblocked')).toHaveLength(1);
    head.epoch = 'epoch-2';
    head.announceStart();
    await until(() => head.registrations.length === 2);
    const { leases, idleHosts, actors } = head.registrations[1] ?? {};
    expect(leases).toMatchObject([{ spec: { actorId: waits.actorId }, isBlocked: true }]);
    expect(idleHosts).toHaveLength(1);
    expect(actors?.map(({ actorId }) => actorId)).toEqual([waits.actorId]);
  });

  it('that are over are over for whoever asks again', async () => {
    const lease = testLease('Ok');
    await start(lease);
    await giveBack(lease);
    await head.command(node.nodeId, startCommand(lease));
    await until(() => head.eventsOf('actor-ended').length === 2);
    expect(head.eventsOf('actor-started')).toHaveLength(1);
  });
});
