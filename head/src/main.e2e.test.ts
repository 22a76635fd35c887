import { spawn, type ChildProcess } from 'node:child_process';
import { getRandomValues } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createIdMint, type ActorId, type ClusterId } from '@manta/runtime/ids';
import { systemClock } from '@manta/runtime/time/clock';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import type { Transport } from '@manta/runtime/transport/transport';
import { afterEach, expect, it, vi } from 'vitest';
import { FakeAgent } from './sim/fake-agent.ts';
import { FakeProcess } from './sim/fake-process.ts';

const TOKEN = 'a-token-of-this-test';
const MAIN = new URL('../dist/main.js', import.meta.url).href;
const HEAD_PROGRAM = `
  import { startHead } from ${JSON.stringify(MAIN)};
  const head = await startHead(JSON.parse(process.argv[1]));
  console.log(JSON.stringify({ clusterId: head.clusterId, epoch: head.epoch, url: head.url }));
`;

interface HeadProcess {
  child: ChildProcess;
  clusterId: ClusterId;
  epoch: string;
  url: string;
}

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startHeadProcess(options: object): Promise<HeadProcess> {
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', HEAD_PROGRAM, JSON.stringify(options)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  cleanUps.push(() => killHead(child));
  for await (const line of createInterface({ input: child.stdout })) {
    return { child, ...(JSON.parse(line) as Omit<HeadProcess, 'child'>) };
  }
  throw new Error('the head ended before it was ready');
}

async function killHead(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function connect(url: string, name: string): Promise<Transport> {
  const transport = await connectNats({ servers: [url], token: TOKEN, name });
  cleanUps.push(() => transport.close());
  return transport;
}

const until = (condition: () => boolean) =>
  vi.waitUntil(condition, { timeout: 20_000, interval: 10 });

it('a head killed with SIGKILL and started again finds its nodes and actors, and goes on', async () => {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'manta-head-'));
  cleanUps.push(() => rmSync(stateDirectory, { recursive: true, force: true }));
  // However long the second head takes to start here, the node does not end its actors over it.
  const options = { token: TOKEN, stateDirectory, failureDetectionMs: 60_000 };
  const first = await startHeadProcess(options);
  const { clusterId, url } = first;
  const mint = createIdMint((target) => void getRandomValues(target));
  const transport = await connect(url, 'agent');
  const agent = new FakeAgent({ clusterId, transport, clock: systemClock, mint });
  cleanUps.push(() => agent.die());
  await until(() => agent.isRegistered);
  const driver = new FakeProcess(clusterId, await connect(url, 'driver'), mint);
  agent.linkDriver(driver.processId);

  const specs = Array.from({ length: 50 }, (_, index) =>
    driver.spec({ name: `actor-${index}`, maxRestarts: 1 }),
  );
  await driver.create(specs);
  const areAlive = (actorIds: ActorId[]) =>
    actorIds.every((actorId) => driver.stateOf(actorId) === 'alive');
  await until(() => areAlive(specs.map(({ actorId }) => actorId)));

  await killHead(first.child);
  const crashed = specs[0]?.actorId;
  if (crashed === undefined) throw new Error('fifty actors');
  agent.end(crashed, { kind: 'process-died', message: 'crashed while no head was there' });
  const port = Number(new URL(url).port);
  const second = await startHeadProcess({ ...options, port });
  expect(second.clusterId).toBe(clusterId);
  expect(second.epoch).not.toBe(first.epoch);

  await until(() => agent.isRegistered && agent.epoch === second.epoch);
  await until(() => driver.newest.get(crashed)?.incarnation === 1 && areAlive([crashed]));
  for (const spec of specs.slice(1)) expect(agent.living.get(spec.actorId)?.incarnation).toBe(0);
  const again = driver.spec({ name: 'actor-7' });
  const fresh = driver.spec({ name: 'another' });
  const [taken, created] = await driver.create([again, fresh]);
  expect(taken?.error?.name).toBe('NameTakenError');
  expect(created).toEqual({});
  await until(() => areAlive([fresh.actorId]));
});

it('a head without a state directory starts, serves metrics and leaves nothing behind', async () => {
  const { startHead } = await import('./main.ts');
  const head = await startHead({ token: TOKEN, metricsPort: 0 });
  const transport = await connect(head.url, 'agent');
  const mint = createIdMint((target) => void getRandomValues(target));
  const agent = new FakeAgent({ clusterId: head.clusterId, transport, clock: systemClock, mint });
  await until(() => agent.isRegistered);
  const scrape = (token: string) =>
    fetch(head.metricsUrl ?? '', { headers: { authorization: `Bearer ${token}` } });
  const text = await (await scrape(TOKEN)).text();
  expect(text).toContain('manta_head_nodes{state="alive"} 1');
  expect(text).toContain('manta_head_requests_total{operation="node.register"} 1');
  expect(text).toContain('manta_head_invalid_messages_total 0');
  expect(text).toContain('manta_head_broker_connections 2');
  expect(text).toMatch(/manta_head_broker_messages_in_total [1-9]/);
  expect((await scrape('another')).status).toBe(401);
  expect((await fetch(head.metricsUrl ?? '')).status).toBe(401);
  await agent.die();
  await head.close();
  await expect(
    connectNats({ servers: [head.url], token: TOKEN, name: 'late', reconnect: false }),
  ).rejects.toThrow();
});

it('refuses a wrong token', async () => {
  const { startHead } = await import('./main.ts');
  const head = await startHead({ token: TOKEN });
  cleanUps.push(() => head.close());
  const connecting = connectNats({
    servers: [head.url],
    token: 'wrong',
    name: 'stranger',
    reconnect: false,
  });
  await expect(connecting).rejects.toMatchObject({ name: 'AuthenticationError' });
});
