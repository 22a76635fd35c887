import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { free, get, init, put, shutdown, wait } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { LENGTH, make, makeItems, MakerActor, next } from './fixtures/lineage.ts';
import { failureOf, Journals } from './testing/journal.ts';
import { at, firstsOf, ready, Victims } from './testing/victims.ts';

const journals = new Journals();
let cluster: TestCluster;
let victims: Victims;

beforeAll(async () => {
  cluster = await startTestCluster({
    nodes: [{ cpus: 4 }, { cpus: 4 }],
    failureDetectionMs: 1_000,
  });
  victims = new Victims(cluster);
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

describe('the result of a task', () => {
  it('is made again when the only node that has it dies, by exactly one more run', async () => {
    const { file, ...journal } = create();
    const victim = await victims.add();
    const ref = make.options(at(victim))(file, 'made', 3);
    await ready([ref]);
    await victim.kill();
    const values = await Promise.all([get(ref), get(ref), get(ref)]);
    expect(values.map((numbers) => [numbers.length, numbers[0]])).toEqual(
      values.map(() => [LENGTH, 3]),
    );
    expect(journal.count('made')).toBe(2);
  });

  it('is made again with all that it was made from: a chain of five', async () => {
    const { file, ...journal } = create();
    const victim = await victims.add();
    const [first, then] = [make.options(at(victim)), next.options(at(victim))];
    const chain = [first(file, 'link 0', 1)];
    for (let link = 1; link < 5; link += 1)
      chain.push(then(file, `link ${link}`, chain[link - 1] as never));
    await ready(chain);
    await victim.kill();
    expect(await firstsOf(chain)).toEqual([1, 2, 3, 4, 5]);
    for (let link = 0; link < 5; link += 1) expect(journal.count(`link ${link}`)).toBe(2);
  });

  it('is given up at once when the task may not run again', async () => {
    const { file, ...journal } = create();
    const victim = await victims.add();
    const ref = make.options({ ...at(victim), maxRetries: 0 })(file, 'once', 1);
    await ready([ref]);
    await victim.kill();
    expect(await failureOf(get(ref))).toMatchObject({ name: 'ObjectLostError' });
    expect(journal.count('once')).toBe(1);
  });
});

function create() {
  const journal = journals.create();
  return { file: journal.file, count: (line: string) => journal.count(line) };
}
