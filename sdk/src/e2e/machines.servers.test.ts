import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressWithToken } from '@manta/runtime/session/address';
import { waitFor } from '@manta/runtime/testing/wait-for';
import type { NodeInfo } from '@manta/sdk';
import { ChildDriver } from './testing/child-driver.ts';
import { Journals, type Journal } from './testing/journal.ts';
import { MachineNetwork, type Machine } from './testing/machines.ts';

const PROGRAM = fileURLToPath(new URL('./fixtures/machine-driver.mjs', import.meta.url));
const BROKER_PORT = 4222;
const BYTES = 20 * 2 ** 20;

interface Started {
  address: string;
  tokenFile: string;
  nodeId: string;
}
interface Home {
  machine: string;
  nodeId: string;
  restarts: number;
  pid: number;
}

const journals = new Journals();
let network: MachineNetwork;
let headMachine: Machine;
let machineB: Machine;
let machineC: Machine;
let driverMachine: Machine;
let address: string;
let token: string;
let driver: ChildDriver;
const nodeIds = new Map<Machine, string>();

/** As an operator does it: nothing but the address and the token goes from machine to machine. */
async function join(machine: Machine): Promise<void> {
  const file = await machine.writeFile('token', token);
  const args = ['--address', address, '--token-file', file, '--cpus', '8'];
  const { nodeId } = await machine.manta<Started>('start', ...args);
  nodeIds.set(machine, nodeId);
}

const on = (machine: Machine) => ({ scheduling: { nodeId: nodeIds.get(machine), soft: true } });
const create = (key: string, machine: Machine, options = {}) =>
  driver.ask<Home>('create', { key, options: { ...on(machine), ...options } });
const call = <T>(key: string, method: string, ...args: unknown[]) =>
  driver.ask<T>('call', { key, method, args });
const known = (key: string) => ({ known: key });

async function stateOf(nodeId: string | undefined): Promise<string | undefined> {
  const nodes = await driver.ask<NodeInfo[]>('nodes');
  return nodes.find((node) => node.nodeId === nodeId)?.state;
}

beforeAll(async () => {
  network = await MachineNetwork.create();
  headMachine = await network.addMachine('machine-a');
  machineB = await network.addMachine('machine-b');
  machineC = await network.addMachine('machine-c');
  driverMachine = await network.addMachine('machine-d');
  const head = ['start', '--head', '--host', '0.0.0.0', '--no-node'];
  const started = await headMachine.manta<Started>(...head);
  address = started.address;
  token = (await headMachine.readFile(started.tokenFile)).trim();
  await Promise.all([join(machineB), join(machineC)]);
  driver = await ChildDriver.start(addressWithToken(address, token), 'tests', {
    program: PROGRAM,
    spawnProgram: (program, args) => driverMachine.spawn(program, args),
  });
});
afterAll(async () => {
  await network.close();
  journals.remove();
});

it('prints an address that other machines reach, and they join by it and the token alone', async () => {
  expect(address).toBe(`nats://${headMachine.ip}:${BROKER_PORT}`);
  const nodes = await driver.ask<NodeInfo[]>('nodes');
  const found = nodes.map(({ name, state }) => `${name} ${state}`);
  expect(found.sort()).toEqual(['machine-b alive', 'machine-c alive']);
});

it('refuses a machine that has another token', async () => {
  const stranger = ['start', '--address', address, '--token', 'another'];
  await expect(driverMachine.manta(...stranger)).rejects.toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/token/),
  });
});

it('calls actors on other machines, and lets them call each other, over TCP', async () => {
  const b = await create('b', machineB);
  const c = await create('c', machineC);
  expect([b.machine, c.machine]).toEqual(['machine-b', 'machine-c']);
  expect((await call<Home>('b', 'whereIs', known('c'))).machine).toBe('machine-c');
  expect(await call('b', 'callsOn', known('c'), 1_000)).toBe(500_500);
  expect(await call('c', 'itemsOf', known('b'), 100)).toHaveLength(100);
  expect(await driver.ask('items', { key: 'b', to: 100 })).toHaveLength(100);
  expect(await machineC.connectionsFrom(machineB, BROKER_PORT)).not.toHaveLength(0);
  expect(await driverMachine.connectionsWith(machineB, BROKER_PORT)).not.toHaveLength(0);
});

it('brings large values from machine to machine, and from the driver, over TCP', async () => {
  expect(await call('b', 'sizeOfBytesOf', known('c'), BYTES)).toEqual({ length: BYTES, last: 7 });
  await driver.ask('put', { key: 'value', length: BYTES, fill: 9 });
  const checksum = await call('c', 'checksumOf', known('value'));
  expect(checksum).toEqual({ length: BYTES, last: 9 });
  expect(await machineC.connectionsWith(driverMachine, BROKER_PORT)).not.toHaveLength(0);
});

it('reaches an actor behind a firewall over NATS', async () => {
  const machine = await network.addMachine('machine-e');
  await machine.closeToOthers();
  await join(machine);
  expect((await create('closed', machine)).machine).toBe('machine-e');
  expect(await call('b', 'callsOn', known('closed'), 1_000)).toBe(500_500);
  expect(await call('b', 'itemsOf', known('closed'), 100)).toHaveLength(100);
  const checksum = await call('b', 'sizeOfBytesOf', known('closed'), BYTES);
  expect(checksum).toEqual({ length: BYTES, last: 7 });
  expect(await machine.droppedPackets()).toBeGreaterThan(0);
  expect(await machine.connectionsFrom(machineB, BROKER_PORT)).toEqual([]);
  // The way out is open.
  expect(await call('closed', 'callsOn', known('b'), 1_000)).toBe(500_500);
});

it('starts the actors of a machine without a network elsewhere, and never has two of one', async () => {
  const journal = journals.create();
  const lost = nodeIds.get(machineC);
  await create('ticker', machineC, { maxRestarts: 1 });
  const first = await call<Home>('ticker', 'tick', journal.file);
  expect(first.machine).toBe('machine-c');
  await machineC.unplug();
  const options = { maxTaskRetries: -1 };
  const second = await driver.ask<Home>('call', {
    key: 'ticker',
    method: 'tick',
    args: [journal.file],
    options,
  });
  expect(second).toMatchObject({ restarts: 1 });
  expect(second.machine).not.toBe('machine-c');
  expect(await stateOf(lost)).toBe('dead');
  await waitFor(() => journal.count('1') > 100, { describe: 'the second life goes on' });
  expectOneLifeAfterTheOther(journal);

  await machineC.plugIn();
  await waitFor(async () => (await aliveOn('machine-c')) !== undefined, {
    timeoutMs: 30_000,
    describe: 'the machine is a node again',
  });
  expect(await aliveOn('machine-c')).not.toBe(lost);
  expectOneLifeAfterTheOther(journal);
});

it('starts the actors of a machine that lost its power elsewhere', async () => {
  const machine = await network.addMachine('machine-f');
  await join(machine);
  await create('risen', machine, { maxRestarts: 1 });
  await create('mortal', machine);
  await machine.turnOff();
  const options = { maxTaskRetries: -1, timeoutMs: 10_000 };
  const home = await driver.ask<Home>('call', { key: 'risen', method: 'where', options });
  expect(home.restarts).toBe(1);
  await expect(call('mortal', 'where')).rejects.toMatchObject({ name: 'ActorDiedError' });
});

async function aliveOn(name: string): Promise<string | undefined> {
  const nodes = await driver.ask<NodeInfo[]>('nodes');
  return nodes.find((node) => node.name === name && node.state === 'alive')?.nodeId;
}

function expectOneLifeAfterTheOther(journal: Journal): void {
  const lives = journal.lines();
  expect(lives).toContain('0');
  expect(lives.slice(lives.indexOf('1'))).not.toContain('0');
}
