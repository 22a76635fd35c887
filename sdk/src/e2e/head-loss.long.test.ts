import { afterAll, beforeAll, expect, it } from 'vitest';
import { explain, init, ready, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { ParentActor } from './fixtures/actors.ts';
import { Journals } from './testing/journal.ts';
import { expectOutageIsHarmless } from './testing/outage.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 8 }, { cpus: 8 }] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

it('goes on while its head is killed, and finds everything after a restart', async () => {
  const begin = () => cluster.killHead('SIGKILL');
  const end = () => cluster.restartHead();
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});

it('has an actor that first needs the head while there is none wait for it', async () => {
  const parent = ParentActor.create();
  await ready(parent);
  await cluster.killHead('SIGKILL');
  const made = parent.makeChild();
  await expect.poll(async () => (await explain(made)).state).toBe('running');
  await cluster.restartHead();
  expect(await (await made).value()).toBe(100);
});

it('goes on while its broker is down', async () => {
  const begin = () => cluster.stopBroker();
  const end = () => cluster.startBroker();
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});

it('comes through a second restart of the head', async () => {
  const begin = () => cluster.killHead('SIGKILL');
  const end = () => cluster.restartHead();
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});
