import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import type { ChildDriver } from './testing/child-driver.ts';
import { DrivenMachines } from './testing/driven-machines.ts';
import type { Machine } from './testing/machines.ts';

const BYTES = 100_000_000;
const BROKER_PORT = 4222;

let machines: DrivenMachines;
let makerMachine: Machine;
let readerMachine: Machine;
let driver: ChildDriver;

beforeAll(async () => {
  machines = await DrivenMachines.start();
  ({ driver } = machines);
  [makerMachine, readerMachine] = await Promise.all([join('maker'), join('reader')]);
  await makerMachine.throttle(10);
});
afterAll(() => machines[Symbol.asyncDispose]());

const join = (name: string): Promise<Machine> => machines.join(name, { name, maxConcurrency: 100 });

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
    machine = await machines.addMachine(`owner-${test}`);
    owner = await machines.startDriver(machine);
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

  it('what it asks for when the machine has fallen silent', async () => {
    for (const key of ['first', 'own'])
      await owner.ask('begin', { key, by: 'maker', method: 'never' });
    await owner.ask('lend', { key: 'first', to: 'reader' });
    const asking = (): Promise<string[]> => machine.connectionsFrom(readerMachine, BROKER_PORT);
    await waitFor(async () => (await asking()).length > 0, { describe: 'the reader to ask' });
    await owner.ask('lend', { key: 'own', to: 'reader', method: 'keep' });
    await machine.unplug();
    // On that connection, of which nothing is acknowledged any more.
    await call('reader', 'readKept');
    expect(await call('reader', 'outcome')).toBe('OwnerDiedError');
  });
});
