import { afterAll, beforeAll, it } from 'vitest';
import { init, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
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
