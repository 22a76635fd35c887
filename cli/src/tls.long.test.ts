/** A cluster whose head has a certificate: two machines, each with a home of its own, in real processes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { openChannel } from '@manta/runtime/channel/open-channel';
import { discoverCluster, HeadClient } from '@manta/runtime/core/head-client';
import { createIdMint } from '@manta/runtime/ids';
import { TEST_CERTIFICATE, TEST_KEY } from '@manta/runtime/testing/test-certificate';
import { systemClock } from '@manta/runtime/time/clock';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import { ActorLookupReply } from '@manta/runtime/wire/actor-messages';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { COMMAND, finish, runNode, type Ended } from './testing/command.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/counter.mjs', import.meta.url));
const TIMEOUT_MS = 10_000;

let folder: string;
let caFile: string;
let address: string;
let metricsUrl: string;
let token: string;

const homeOf = (machine: string): string => join(folder, machine);

function manta(machine: string, ...args: string[]): Promise<Ended> {
  return finish(runNode(homeOf(machine), [COMMAND, ...args], { MANTA_MACHINE_ID: machine }));
}

async function mantaJson<T>(machine: string, ...args: string[]): Promise<T> {
  const { code, out, err } = await manta(machine, ...args, '--json');
  expect(code, err).toBe(0);
  return JSON.parse(out) as T;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mtls-'));
  caFile = join(folder, 'cert.pem');
  writeFileSync(caFile, TEST_CERTIFICATE);
  writeFileSync(join(folder, 'key.pem'), TEST_KEY);
  const files = ['--tls-cert', caFile, '--tls-key', join(folder, 'key.pem')];
  token = 'secret';
  const ports = ['--port', '0', '--metrics-port', '0'];
  const head = ['start', '--head', '--no-node', '--token', token, ...ports, ...files];
  ({ address, metricsUrl } = await mantaJson<{ address: string; metricsUrl: string }>(
    'a',
    ...head,
  ));
  await mantaJson('b', 'start', '--address', address, '--token', token, '--tls-ca', caFile);
});
afterAll(async () => {
  for (const machine of ['b', 'a']) await manta(machine, 'stop', '--grace', '5s');
  rmSync(folder, { recursive: true, force: true });
});

async function runProgram(environment: NodeJS.ProcessEnv): Promise<Ended> {
  return finish(runNode(homeOf('a'), [PROGRAM], { MANTA_MACHINE_ID: 'a', ...environment }));
}

const mintId = createIdMint((bytes) => crypto.getRandomValues(bytes));

/** Where the process of the actor `counter` takes channels. */
async function addressOfCounter(): Promise<ProcessAddress> {
  const tls = { ca: TEST_CERTIFICATE };
  const transport = await connectNats({ servers: [address], token, name: 'test', tls });
  try {
    const { clusterId } = await discoverCluster(transport, TIMEOUT_MS, systemClock);
    const query = { processId: mintId('process'), namespace: 'tests', name: 'counter' };
    const head = new HeadClient(transport, clusterId, systemClock);
    const { actor } = await head.request('actor.lookup', query, ActorLookupReply);
    return actor?.update.address as ProcessAddress;
  } finally {
    await transport.close();
  }
}

it('is joined, looked at and used from another machine, knowing the authority', async () => {
  expect(address).toMatch(/^tls:\/\/127\.0\.0\.1:\d+$/);
  expect(await mantaJson('a', 'list', 'nodes')).toMatchObject([{ state: 'alive' }]);
  const program = await runProgram({});
  expect(program.code, program.err).toBe(0);
  for (const machine of ['a', 'b']) {
    const call = await manta(machine, 'call', 'counter', 'add', '3', '--namespace', 'tests');
    expect(call.code, call.err).toBe(0);
  }
  expect((await manta('a', 'call', 'counter', 'add', '0', '--namespace', 'tests')).out).toBe('6\n');
});

it('has processes that take channels from other machines with TLS only', async () => {
  const counter = await addressOfCounter();
  const from = {
    self: { processId: mintId('process'), role: 'driver' as const },
    machineId: 'elsewhere',
    token,
    timeoutMs: TIMEOUT_MS,
  };
  const channel = await openChannel(counter, { ...from, encrypted: true });
  expect(channel.peer.processId).toBe(counter.processId);
  channel.close();
  await expect(openChannel(counter, from)).rejects.toThrow(counter.processId);
});

it('serves metrics by HTTPS', async () => {
  const options = { ca: TEST_CERTIFICATE, headers: { authorization: `Bearer ${token}` } };
  const [response] = (await once(get(metricsUrl, options), 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  expect(await text(response)).toMatch(/^manta_head_broker_connections \d+$/m);
});

it('is asked by a machine that names the authority in the command', async () => {
  const known = ['--address', address, '--token', token, '--tls-ca', caFile];
  expect((await manta('c', 'status', ...known)).code).toBe(0);
  const call = ['call', 'counter', 'add', '0', '--namespace', 'tests', ...known];
  expect(await manta('c', ...call)).toMatchObject({ code: 0, out: '6\n' });
  const wrong = await manta('c', 'status', ...known.with(-1, '/nowhere.pem'));
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('--tls-ca') as string });
});

it('lets nobody in who does not know the authority, and says what to do', async () => {
  const stranger = await manta('c', 'status', '--address', address, '--token', token);
  expect(stranger.code).toBe(3);
  expect(stranger.err).toMatch(/certificate is not trusted here .*--tls-ca/);
});

it('asks who trusts it but writes nats:// to write tls://', async () => {
  const clear = address.replace('tls:', 'nats:');
  const args = [COMMAND, 'status', '--address', clear, '--token', token];
  const { code, err } = await finish(runNode(homeOf('c'), args, { NODE_EXTRA_CA_CERTS: caFile }));
  expect(code).toBe(3);
  expect(err).toContain('write tls:// in place of nats://');
});

it('does not start a head whose nodes look for TLS without it', async () => {
  const { pids } = JSON.parse(
    (await manta('a', 'start', '--address', address, '--tls-ca', caFile, '--json')).out,
  ) as { pids: { head: number; nodes: number[] } };
  process.kill(pids.head, 'SIGKILL');
  const again = await manta('a', 'start', '--head');
  expect(again.code).toBe(2);
  expect(again.err).toMatch(/give --tls-cert and --tls-key again/);
});
