import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addressWithToken } from '@manta/runtime/session/address';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { ChildDriver } from './testing/child-driver.ts';
import { MachineNetwork, type Machine } from './testing/machines.ts';

const PROGRAM = fileURLToPath(new URL('./fixtures/machine-driver.mjs', import.meta.url));
const BYTES = 100_000_000;

let network: MachineNetwork;
let makerMachine: Machine;
let readerMachine: Machine;
let driver: ChildDriver;
let startDriver: (machine: Machine) => Promise<ChildDriver>;
let join: (name: string) => Promise<Machine>;

beforeAll(async () => {
  network = await MachineNetwork.create();
  const head = await network.addMachine('head');
  const started = await head.manta<{ address: string; tokenFile: string }>(
    ...['start', '--head', '--host', '0.0.0.0', '--no-node'],
  );
  const token = (await head.readFile(started.tokenFile)).trim();
  startDriver = (machine) =>
    ChildDriver.start(addressWithToken(started.address, token), 'tests', {
      program: PROGRAM,
      spawnProgram: (program, args) => machine.spawn(program, args),
    });
  driver = await startDriver(await network.addMachine('driver'));
  /** A machine with an actor of its name. */
  join = async (name) => {
    const machine = await network.addMachine(name);
    const file = await machine.writeFile('token', token);
    const ways = ['--address', started.address, '--token-file', file];
    const { nodeId } = await machine.manta<{ nodeId: string }>('start', ...ways, '--cpus', '8');
    const scheduling = { nodeId, soft: false };
    await driver.ask('create', { key: name, options: { scheduling, name, maxConcurrency: 100 } });
    return machine;
  };
  [makerMachine, readerMachine] = await Promise.all([join('maker'), join('reader')]);
  await makerMachine.throttle(10);
});
afterAll(() => network.close());

const call = <T>(key: string, method: string, ...args: unknown[]): Promise<T> =>
  driver.ask<T>('call', { key, method, args });
const known = (key: string) => ({ known: key });

/** Returns when the reader is in the middle of pulling a value. */
async function pulling(bytesBefore: number): Promise<void> {
  const enough = async (): Promise<boolean> =>
    (await readerMachine.receivedBytes()) - bytesBefore > BYTES / 10;
  await waitFor(enough, { describe: 'a part of the value', timeoutMs: 30_000 });
}

let test = 0;

describe('a reader learns that an actor on another machine has died, which owns', () => {
  let owner: string;
  beforeEach(async () => {
    test += 1;
    owner = `owner-${test}`;
    await join(owner);
  });

  it('what it waits for', async () => {
    await driver.ask('begin', {
      key: 'own',
      by: owner,
      method: 'ownPending',
      args: [known('maker')],
    });
    await call('reader', 'read', known('own'));
    call(owner, 'die').catch(() => undefined);
    expect(await call('reader', 'outcome')).toBe('OwnerDiedError');
  });

  it('what it pulls', async () => {
    const args = [known('maker'), BYTES];
    await driver.ask('begin', { key: 'own', by: owner, method: 'ownBytesOf', args });
    const bytesBefore = await readerMachine.receivedBytes();
    await call('reader', 'read', known('own'));
    await pulling(bytesBefore);
    call(owner, 'die').catch(() => undefined);
    expect(await call('reader', 'outcome')).toBe('OwnerDiedError');
  });
});

describe('a reader learns that a driver on another machine has died, which owns', () => {
  let machine: Machine;
  let owner: ChildDriver;
  beforeEach(async () => {
    test += 1;
    machine = await network.addMachine(`owner-${test}`);
    owner = await startDriver(machine);
    for (const name of ['maker', 'reader']) await owner.ask('find', { key: name, name });
  });

  it('what it waits for', async () => {
    await owner.ask('begin', { key: 'own', by: 'maker', method: 'never' });
    await owner.ask('lend', { key: 'own', to: 'reader' });
    owner.ask('die').catch(() => undefined);
    expect(await call('reader', 'outcome')).toBe('OwnerDiedError');
  });

  it('what it pulls', async () => {
    await owner.ask('make', { key: 'own', by: 'maker', length: BYTES, fill: 7 });
    const bytesBefore = await readerMachine.receivedBytes();
    await owner.ask('lend', { key: 'own', to: 'reader' });
    await pulling(bytesBefore);
    owner.ask('die').catch(() => undefined);
    expect(await call('reader', 'outcome')).toBe('OwnerDiedError');
  });

  it('what it waits for, when the machine falls silent', async () => {
    await owner.ask('begin', { key: 'own', by: 'maker', method: 'never' });
    await owner.ask('lend', { key: 'own', to: 'reader' });
    await machine.unplug();
    expect(await call('reader', 'outcome')).toBe('OwnerDiedError');
  });
});
