import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import type { ChildDriver } from './testing/child-driver.ts';
import { DrivenMachines } from './testing/driven-machines.ts';
import type { Machine } from './testing/machines.ts';

const PROXY = fileURLToPath(new URL('./fixtures/corrupting-proxy.mjs', import.meta.url));
const BYTES = 200_000_000;
const checksum = { length: BYTES, last: 7 };

let machines: DrivenMachines;
let driver: ChildDriver;

beforeAll(async () => {
  machines = await DrivenMachines.start();
  ({ driver } = machines);
});
afterAll(() => machines[Symbol.asyncDispose]());

const join = (name: string): Promise<Machine> => machines.join(name);

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
