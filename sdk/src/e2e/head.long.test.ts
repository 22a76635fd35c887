import { afterAll, beforeAll, it } from 'vitest';
import { init, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { Journals } from './testing/journal.ts';
import { expectOutageIsHarmless } from './testing/outage.ts';

/** Longer than the time after which a silent node is dead, and than that after which a lone one ends its actors. */
const OUTAGE_MS = 8_000;

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

const lastingOutage = () => new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));

it('outlives a long time without a head', async () => {
  const begin = () => cluster.killHead('SIGKILL');
  const end = async (): Promise<void> => {
    await lastingOutage();
    await cluster.restartHead();
  };
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});

it('outlives a long time without a broker', async () => {
  const begin = () => cluster.stopBroker();
  const end = async (): Promise<void> => {
    await lastingOutage();
    await cluster.startBroker();
  };
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});
