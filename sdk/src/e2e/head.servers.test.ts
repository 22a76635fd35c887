import { afterAll, beforeAll, it } from 'vitest';
import { init, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { Journals } from './testing/journal.ts';
import { expectOutageIsHarmless } from './testing/outage.ts';
import { commandOf, descendantsOf } from './testing/processes.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nats: 'server', nodes: [{ cpus: 8 }, { cpus: 8 }] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

it('goes on with a nats-server while its head is killed, and finds everything after a restart', async () => {
  const begin = () => cluster.killHead('SIGKILL');
  const end = () => cluster.restartHead();
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});

it('goes on while its nats-server is down', async () => {
  const begin = () => cluster.stopBroker();
  const end = () => cluster.startBroker();
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});

it('blames nobody, and starts nobody twice, while its nats-server stands still', async () => {
  const [server] = descendantsOf(process.pid).filter((pid) => commandOf(pid).includes('nats.conf'));
  if (server === undefined) throw new Error('There is no process of a nats-server.');
  const begin = (): Promise<void> => Promise.resolve(void process.kill(server, 'SIGSTOP'));
  const end = async (): Promise<void> => {
    // Longer than the time after which a silent node is dead.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    process.kill(server, 'SIGCONT');
  };
  await expectOutageIsHarmless({ cluster, journals, begin, end });
});
