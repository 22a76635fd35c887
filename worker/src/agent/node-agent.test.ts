import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker, type Broker } from '@manta/runtime/broker/broker';
import { machineId } from '@manta/runtime/channel/machine-id';
import { openChannel } from '@manta/runtime/channel/open-channel';
import type { NodeId, ProcessId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { JobLogs } from '@manta/runtime/wire/job-messages';
import { NodeLogsReply } from '@manta/runtime/wire/log-messages';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startNode, type NodeOptions, type RunningNode } from '../../dist/main.js'; // as its processes are
import { endCommand, FakeHead, startCommand, testMint, testSpec } from '../testing/fake-head.ts';

const TOKEN = 'test-token';
const compiled = (path: string): URL => new URL(`../../dist/${path}`, import.meta.url);

let broker: Broker;
let head: FakeHead;
let directory: string;
let nodes: RunningNode[];

beforeEach(async () => {
  broker = await startBroker({ port: 0, token: TOKEN });
  head = await FakeHead.start(broker.url, TOKEN);
  directory = mkdtempSync(join(tmpdir(), 'manta-'));
  nodes = [];
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await head.close();
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

async function addNode(options: Partial<NodeOptions> = {}): Promise<RunningNode> {
  const node = await startNode({
    natsUrl: broker.url,
    token: TOKEN,
    directory,
    cpus: 2,
    poolSize: 1,
    programs: { host: compiled('testing/fake-host.js').pathname },
    ...options,
  });
  nodes.push(node);
  return node;
}

async function until(condition: () => unknown, timeoutMs = 10_000): Promise<void> {
  await waitFor(condition, { timeoutMs, describe: String(condition) });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie is over: only its parent has not looked yet.
    return !existsSync('/proc') || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('a node', () => {
  it('registers with what it has, beats from its thread, and answers pings', async () => {
    const node = await addNode({ simulatedGpus: { count: 2, memoryBytes: 1024, model: 'T4' } });
    expect(head.registrations).toHaveLength(1);
    const [registration] = head.registrations;
    expect(registration?.capacity).toMatchObject({ cpus: 2, gpus: [{ index: 0 }, { index: 1 }] });
    expect(registration?.labels).toMatchObject({
      'manta/node-id': node.nodeId,
      'manta/accelerator-type': 'T4',
    });
    expect(existsSync(registration?.address.socketPath ?? '')).toBe(true);
    await until(() => head.heartbeats.length >= 2);
    expect(await head.ping(node.nodeId)).toBe(registration?.sessionId);
  });

  it('beats and answers pings while its event loop is busy', async () => {
    const node = await addNode({ poolSize: 0 });
    await until(() => head.heartbeats.length >= 1);
    // The fake head shares this loop, so what arrived meanwhile is counted afterwards.
    const before = head.heartbeats.length;
    const busyUntil = Date.now() + 600;
    while (Date.now() < busyUntil);
    await until(() => head.heartbeats.length >= before + 8);
    expect(await head.ping(node.nodeId)).toBe(head.registrations[0]?.sessionId);
  });
});

describe('actors', () => {
  it('start in a host, end by kill, and the process is reported after its actor', async () => {
    const node = await addNode();
    const spec = testSpec('Ok');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    const pid = head.eventsOf('actor-started')[0]?.actor.pid ?? 0;
    expect(isAlive(pid)).toBe(true);
    await head.command(node.nodeId, endCommand(spec, 'kill'));
    await until(() => head.eventsOf('process-ended').length === 1);
    expect(head.events.map(({ type }) => type)).toEqual([
      'actor-started',
      'actor-ended',
      'process-ended',
    ]);
    expect(head.eventsOf('actor-ended')[0]).toMatchObject({
      actorId: spec.actorId,
      incarnation: 0,
      cause: { kind: 'killed' },
    });
    expect(isAlive(pid)).toBe(false);
  });

  it('are started once however often the command comes', async () => {
    const node = await addNode();
    const spec = testSpec('Ok');
    await Promise.all([1, 2, 3].map(() => head.command(node.nodeId, startCommand(spec))));
    await until(() => head.eventsOf('actor-started').length === 1);
    await head.command(node.nodeId, endCommand(spec, 'stop'));
    await until(() => head.eventsOf('actor-ended').length === 1);
    await head.command(node.nodeId, startCommand(spec), startCommand(testSpec('Ok')));
    await until(() => head.eventsOf('actor-started').length === 2);
    expect(head.eventsOf('actor-started')[1]?.actor.actorId).not.toBe(spec.actorId);
  });

  it('report how they failed: exit code, constructor, heap', async () => {
    const node = await addNode({
      programs: {
        host: compiled('testing/fake-host.js').pathname,
        hostNodeArguments: ['--max-old-space-size=24'],
      },
    });
    const specs = ['Crash', 'Broken', 'HeapFull'].map((className) => testSpec(className));
    await head.command(node.nodeId, ...specs.map((spec) => startCommand(spec)));
    await until(() => head.eventsOf('actor-ended').length === 3, 20_000);
    const ended = specs.map(({ actorId }) =>
      head.eventsOf('actor-ended').find((event) => event.actorId === actorId),
    );
    expect(ended[0]?.cause).toMatchObject({ kind: 'process-died', exitCode: 3 });
    expect(ended[1]?.cause.kind).toBe('constructor-failed');
    expect([...(ended[1]?.encodedError ?? [])]).toEqual([1, 2, 3]);
    expect(ended[2]?.cause).toMatchObject({ kind: 'out-of-memory', signal: 'SIGABRT' });
  });

  it('take what they started with them', async () => {
    const node = await addNode();
    const spec = testSpec('Parent');
    await head.command(node.nodeId, startCommand(spec));
    let child = 0;
    await until(async () => {
      const reply = decodeControl(
        NodeLogsReply,
        await head.ask(node.nodeId, 'logs', { actorId: spec.actorId }),
      );
      child = Number(/child (\d+)/.exec(reply.text ?? '')?.[1] ?? 0);
      return child > 0;
    });
    expect(isAlive(child)).toBe(true);
    await head.command(node.nodeId, endCommand(spec, 'kill'));
    await until(() => !isAlive(child));
  });

  it('share hosts within a job: two per job, and one for its threads', async () => {
    const node = await addNode();
    const job = testMint('job');
    const shared = Array.from({ length: 10 }, () => testSpec('Ok', 'shared', job));
    const threads = Array.from({ length: 3 }, () => testSpec('Ok', 'thread', job));
    await head.command(node.nodeId, ...[...shared, ...threads].map((spec) => startCommand(spec)));
    await until(() => head.eventsOf('actor-started').length === 13);
    const pidsOf = (specs: { actorId: string }[]): Set<number> =>
      new Set(
        head
          .eventsOf('actor-started')
          .filter(({ actor }) => specs.some(({ actorId }) => actorId === actor.actorId))
          .map(({ actor }) => actor.pid),
      );
    expect(pidsOf(shared).size).toBe(2);
    expect(pidsOf(threads).size).toBe(1);
  });

  it('that do not stop are killed after their time', async () => {
    const node = await addNode();
    const spec = testSpec('Stubborn');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    await head.command(node.nodeId, endCommand(spec, 'stop'));
    await until(() => head.eventsOf('actor-ended').length === 1, 10_000);
    expect(head.eventsOf('actor-ended')[0]?.cause.kind).toBe('stopped');
  });
});

describe('the head', () => {
  it('hears of everything again after it was away, and what runs goes on', async () => {
    const node = await addNode();
    const spec = testSpec('Ok');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    head.epoch = 'epoch-2';
    head.announceStart();
    await until(() => head.registrations.length === 2);
    expect(head.registrations[1]?.actors).toMatchObject([
      { actorId: spec.actorId, incarnation: 0 },
    ]);
    expect(head.registrations[1]?.sessionId).toBe(head.registrations[0]?.sessionId);
  });

  it('may refuse a node: its actors end and it comes back as another', async () => {
    const node = await addNode();
    const spec = testSpec('Ok');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    const pid = head.eventsOf('actor-started')[0]?.actor.pid ?? 0;
    const before = node.nodeId;
    head.deadNodes.add(before);
    head.announceStart();
    await until(() => node.nodeId !== before && head.registrations.at(-1)?.nodeId === node.nodeId);
    expect(head.registrations.at(-1)?.actors).toEqual([]);
    await until(() => !isAlive(pid));
    await until(() => head.heartbeats.at(-1)?.nodeId === node.nodeId);
    // The new node works.
    await head.command(node.nodeId, startCommand(testSpec('Ok')));
    await until(() => head.eventsOf('actor-started').length === 2);
  });

  it('gets reports again until it takes them, each once and in order', async () => {
    const node = await addNode();
    head.refusesReports = true;
    const specs = [testSpec('Ok', 'shared'), testSpec('Exit', 'shared')];
    await head.command(node.nodeId, ...specs.map((spec) => startCommand(spec)));
    await until(() => head.registrations.length >= 2);
    head.refusesReports = false;
    await until(() => head.events.length === 3);
    expect(head.events.filter(({ type }) => type === 'actor-ended')).toHaveLength(1);
  });
});

describe('partition', () => {
  it('silences the node, and past the fencing time its actors are dead', async () => {
    head.fencingTimeoutMs = 400;
    const node = await addNode();
    const spec = testSpec('Ok');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    await until(() => head.heartbeats.length >= 1);
    const pid = head.eventsOf('actor-started')[0]?.actor.pid ?? 0;
    node.partition();
    await until(() => !isAlive(pid));
    expect(head.eventsOf('actor-ended')).toEqual([]);
    await expect(head.ping(node.nodeId)).rejects.toThrow();
    node.heal();
    await until(() => head.eventsOf('actor-ended').length === 1);
    expect(head.eventsOf('actor-ended')[0]?.cause.kind).toBe('node-died');
  });

  it('is not assumed when the head has only gone away', async () => {
    head.fencingTimeoutMs = 300;
    const node = await addNode();
    const spec = testSpec('Ok');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    await until(() => head.heartbeats.length >= 1);
    const pid = head.eventsOf('actor-started')[0]?.actor.pid ?? 0;
    const { port } = broker;
    await head.close();
    await broker.close();
    const back = Date.now() + 1_500;
    await until(() => Date.now() > back);
    broker = await startBroker({ port, token: TOKEN });
    head = await FakeHead.start(broker.url, TOKEN);
    expect(isAlive(pid)).toBe(true);
  });
});

describe('drivers', () => {
  const openLink = async (processId: ProcessId) => {
    const address = head.registrations[0]?.address as ProcessAddress;
    const options = { machineId: machineId(), token: TOKEN, timeoutMs: 2_000 };
    const channel = await openChannel(address, { ...options, self: { processId, role: 'driver' } });
    channel.send([RECORD.link]);
    return channel;
  };

  it('are reported when they link, and when no link is left', async () => {
    await addNode();
    const processId = testMint('process');
    const first = await openLink(processId);
    await until(() => head.eventsOf('driver-linked').length === 1);
    first.close();
    const second = await openLink(processId);
    head.announceStart();
    await until(() => head.registrations.length === 2);
    expect(head.registrations[1]?.drivers).toEqual([processId]);
    expect(head.eventsOf('process-ended')).toEqual([]);
    second.close();
    await until(() => head.eventsOf('process-ended').length === 1);
    expect(head.eventsOf('process-ended')[0]?.processId).toBe(processId);
    expect(head.eventsOf('driver-linked')).toHaveLength(1);
  });
});

describe('logs', () => {
  it('reach the job by name, the last words included', async () => {
    const node = await addNode();
    const spec = testSpec('Print');
    const entries: { label: string; stream: string; lines: string[] }[] = [];
    head.transport.subscribe(head.subjects.jobLogs(spec.jobId), (payload) => {
      entries.push(...decodeControl(JobLogs, payload).entries);
    });
    await head.command(node.nodeId, startCommand(spec));
    const lines = (stream: string): string[] =>
      entries.filter((entry) => entry.stream === stream).flatMap((entry) => entry.lines);
    await until(() => lines('stdout').length >= 2 && lines('stderr').length >= 1);
    await head.command(node.nodeId, endCommand(spec, 'kill'));
    await until(() => lines('stdout').length === 3);
    expect(lines('stdout')).toEqual(['first line', 'second line', 'no line break']);
    expect(lines('stderr')).toEqual(['a complaint']);
    const pid = head.eventsOf('actor-started')[0]?.actor.pid;
    expect(entries[0]?.label).toBe(`Print pid=${pid}`);
    const reply = await head.ask(node.nodeId, 'logs', { actorId: spec.actorId });
    expect(decodeControl(NodeLogsReply, reply).text).toBe(
      'first line\nsecond line\nno line breaka complaint\n',
    );
  });
});

describe('the end of a node', () => {
  it('leaves no process and no socket, and says goodbye', async () => {
    const node = await addNode({ poolSize: 2 });
    const specs = [testSpec('Stubborn'), testSpec('Ok', 'shared'), testSpec('Busy')];
    await head.command(node.nodeId, ...specs.map((spec) => startCommand(spec)));
    await until(() => head.eventsOf('actor-started').length === 3);
    const pids = head.eventsOf('actor-started').map(({ actor }) => actor.pid);
    await node.close();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(head.goodbyes).toEqual([node.nodeId]);
    expect(existsSync(join(directory, 'sockets'))).toBe(false);
  });

  it('killed with SIGKILL leaves neither hosts nor what they started', async () => {
    const program = `
      const { startNode } = await import(process.argv[1]);
      const options = JSON.parse(process.argv[2]);
      await startNode(options);
    `;
    const options: NodeOptions = {
      natsUrl: broker.url,
      token: TOKEN,
      directory,
      cpus: 2,
      programs: { host: compiled('testing/fake-host.js').pathname },
    };
    const agent = spawn(
      process.execPath,
      ['--input-type=module', '-e', program, compiled('main.js').href, JSON.stringify(options)],
      { stdio: 'ignore' },
    );
    await until(() => head.registrations.length === 1);
    const { nodeId } = head.registrations[0] as { nodeId: NodeId };
    const specs = [testSpec('Parent'), testSpec('Busy')];
    await head.command(nodeId, ...specs.map((spec) => startCommand(spec)));
    let child = 0;
    await until(async () => {
      const reply = await head.ask(nodeId, 'logs', { actorId: specs[0]?.actorId });
      child = Number(/child (\d+)/.exec(decodeControl(NodeLogsReply, reply).text ?? '')?.[1] ?? 0);
      return child > 0 && head.eventsOf('actor-started').length === 2;
    });
    const pids = [child, ...head.eventsOf('actor-started').map(({ actor }) => actor.pid)];
    expect(pids.filter(isAlive)).toEqual(pids);
    agent.kill('SIGKILL');
    await until(() => pids.filter(isAlive).length === 0);
  });

  it('comes after a drain, which waits for the last actor', async () => {
    const node = await addNode();
    const spec = testSpec('Ok');
    await head.command(node.nodeId, startCommand(spec));
    await until(() => head.eventsOf('actor-started').length === 1);
    let drained = false;
    const drain = node.drain().then(() => {
      drained = true;
    });
    await until(() => head.drains.length === 1);
    expect(drained).toBe(false);
    await head.command(node.nodeId, endCommand(spec, 'stop'));
    await drain;
    expect(head.drains[0]?.nodeId).toBe(node.nodeId);
  });
});
