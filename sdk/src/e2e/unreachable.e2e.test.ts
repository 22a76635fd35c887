import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { explain, init, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { LifeActor } from './fixtures/lives.ts';
import { Journals } from './testing/journal.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  // Its node listens on no network, and this program takes itself for one of another machine.
  cluster = await startTestCluster();
  process.env['MANTA_MACHINE_ID'] = 'elsewhere';
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

it('explains why an actor that lives cannot be called', async () => {
  const call = LifeActor.create(journals.create().file).where();
  const reason = await waitFor(
    async () => {
      const explanation = await explain(call);
      return explanation.reason.includes('cannot be reached') ? explanation.reason : undefined;
    },
    { describe: 'explain() says that it cannot be reached' },
  );
  expect(reason).toMatch(
    /actor a_\w+ is alive, .* Process p_\w+ cannot be reached: .*Nobody listens/,
  );
});
