import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { addressWithToken } from '@manta/runtime/session/address';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { ChildDriver } from './testing/child-driver.ts';
import { MachineNetwork, type Machine } from './testing/machines.ts';

const PROGRAM = fileURLToPath(new URL('./fixtures/machine-driver.mjs', import.meta.url));
const PROXY = fileURLToPath(new URL('./fixtures/corrupting-proxy.mjs', import.meta.url));
const BYTES = 200_000_000;
const checksum = { length: BYTES, last: 7 };

let network: MachineNetwork;
let driver: ChildDriver;
let join: (name: string) => Promise<Machine>;

beforeAll(async () => {
  network = await MachineNetwork.create();
  const head = await network.addMachine('head');
  const started = await head.manta<{ address: string; tokenFile: string }>(
    ...['start', '--head', '--host', '0.0.0.0', '--no-node'],
  );
  const token = (await head.readFile(started.tokenFile)).trim();
  const driverMachine = await network.addMachine('driver');
  driver = await ChildDriver.start(addressWithToken(started.address, token), 'tests', {
    program: PROGRAM,
    spawnProgram: (program, args) => driverMachine.spawn(program, args),
  });
  /** A machine with an actor of its name. */
  join = async (name) => {
    const machine = await network.addMachine(name);
    const file = await machine.writeFile('token', token);
    const ways = ['--address', started.address, '--token-file', file];
    const { nodeId } = await machine.manta<{ nodeId: string }>('start', ...ways, '--cpus', '8');
    await driver.ask('create', { key: name, options: { scheduling: { nodeId, soft: false } } });
    return machine;
  };
});
afterAll(async () => {
  await network.close();
});

let test = 0;
let source: Machine;
let reader: Machine;
/** Names of this test's own. */
let named: (what: string) => string;
beforeEach(async () => {
  test += 1;
  const suffix = String(test);
  named = (what) => `${what}-${suffix}`;
  [source, reader] = await Promise.all([join(named('source')), join(named('reader'))]);
  const value = { key: named('value'), by: named('source'), length: BYTES, fill: 7 };
  await driver.ask('make', value);
});

const read = (by: string): Promise<unknown> =>
  driver.ask('call', { key: named(by), method: 'checksumOf', args: [{ known: named('value') }] });

/** The reader is in the middle of pulling from the source when the source's cable is cut. */
async function cutDuringPull(reading: Promise<unknown>): Promise<unknown> {
  const before = await reader.receivedBytes();
  const enough = async (): Promise<boolean> => (await reader.receivedBytes()) - before > BYTES / 5;
  await waitFor(enough, { describe: 'a part of the value', timeoutMs: 30_000 });
  await source.unplug();
  return reading;
}

it('brings a value to several machines at once', async () => {
  await join(named('other'));
  expect(await Promise.all([read('reader'), read('other')])).toEqual([checksum, checksum]);
});

it('goes on from another copy when the source falls silent', async () => {
  await join(named('other'));
  expect(await read('other')).toEqual(checksum);
  await source.throttle(50);
  expect(await cutDuringPull(read('reader'))).toEqual(checksum);
});

it('says that the value is lost when the source that falls silent had the only copy', async () => {
  await source.throttle(50);
  const failure = read('reader').catch((error: unknown) => error);
  expect(await cutDuringPull(failure)).toMatchObject({ name: 'ObjectLostError' });
});

it('pulls anew what was changed on the way', async () => {
  const { port } = await driver.ask<{ port: number }>('placeOf', { key: named('value') });
  const [ownPort, first, last] = [7_000, 7_001, 7_100];
  const changedByte = 30_000_000;
  const settings = [source.ip, port, ownPort, changedByte, first].map(String);
  const proxy = reader.spawn(process.execPath, [PROXY, ...settings]);
  const said: string[] = [];
  createInterface({ input: proxy.stdout as Readable }).on('line', (line) => said.push(line));
  await waitFor(() => said.includes('listening'), { describe: 'the proxy' });
  await reader.redirect({ machine: source, port }, ownPort, { first, last });
  const args = [{ known: named('value') }, 7];
  const isWhole = await driver.ask('call', { key: named('reader'), method: 'isFilledWith', args });
  expect(isWhole).toBe(true);
  expect(said).toEqual(['listening', 'changed']);
});
