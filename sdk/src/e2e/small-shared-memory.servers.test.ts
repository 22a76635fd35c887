import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressWithToken } from '@manta/runtime/session/address';
import { ChildDriver } from './testing/child-driver.ts';
import { MachineNetwork, type Machine } from './testing/machines.ts';

const PROGRAM = fileURLToPath(new URL('./fixtures/machine-driver.mjs', import.meta.url));
const BYTES = 100_000_000;

interface Node {
  nodeId: string;
  objectStore: { kind: string; limitBytes: number; usedBytes: number };
}

let network: MachineNetwork;
let machine: Machine;

beforeAll(async () => {
  network = await MachineNetwork.create();
  machine = await network.addMachine('container');
  // As Docker gives it to a container that does not ask for more.
  await machine.run('mount', ['-o', 'remount,size=64m', '/dev/shm']);
});
afterAll(async () => {
  await network.close();
});

it('a node with 64 MiB of shared memory keeps objects in files, and says so', async () => {
  const started = await machine.manta<{ address: string; tokenFile: string; nodeId: string }>(
    ...['start', '--head', '--host', '0.0.0.0', '--cpus', '2', '--object-store-memory', '400MiB'],
  );
  const token = (await machine.readFile(started.tokenFile)).trim();
  const driver = await ChildDriver.start(addressWithToken(started.address, token), 'tests', {
    program: PROGRAM,
    spawnProgram: (program, args) => machine.spawn(program, args),
  });
  await driver.ask('create', { key: 'resident' });
  for (const key of ['first', 'second', 'third']) {
    await driver.ask('make', { key, by: 'resident', length: BYTES, fill: 7 });
    const args = [{ known: key }, 7];
    const isWhole = await driver.ask('call', { key: 'resident', method: 'isFilledWith', args });
    expect(isWhole).toBe(true);
  }
  const [node] = await machine.manta<Node[]>('list', 'nodes', '--address', started.address);
  expect(node?.objectStore.kind).toBe('files');
  const log = await machine.readFile(join(machine.directory, '.manta', 'logs', 'node-0.log'));
  expect(log).toMatch(/objects are kept in files: \/dev\/shm has \d+ bytes free/);
});
