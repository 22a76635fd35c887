import { afterAll, describe, expect, it } from 'vitest';
import { ProgramDirectory } from './fixtures/program-directory.ts';

const directory = new ProgramDirectory();
afterAll(() => directory.remove());

const HEAD = `import { appendFileSync } from 'node:fs';
import { defineActor, init, shutdown, get } from '@manta/sdk';
const note = (line) => appendFileSync('JOURNAL', line + '\\n');
class Greeter { greet(name) { return 'hello ' + name; } }
export const GreeterActor = defineActor(import.meta, Greeter);
`;
/** Runs a program that is driver and actor module in one file; what its driver's part noted. */
async function run(
  name: string,
  body: string,
): Promise<{ journal: string[]; exitCode: number | null; stdout: string; stderr: string }> {
  const journal = `${name}.journal`;
  directory.write({ [`${name}.mjs`]: HEAD.replaceAll('JOURNAL', journal) + body, [journal]: '' });
  const { exitCode, stdout, stderr } = await directory.run(`${name}.mjs`);
  return { journal: directory.lines(journal), exitCode, stdout, stderr };
}

describe('a program of one file', () => {
  it('runs its driver part once, in the driver only', async () => {
    const ended = await run(
      'plain',
      `await init({ logToDriver: false });
       note('driver');
       const greeters = ['process', 'thread', 'shared'].map((isolation) => GreeterActor.options({ isolation }).create());
       console.log((await get(greeters.map((greeter, index) => greeter.greet(String(index))))).join());
       await shutdown();`,
    );
    expect(ended).toEqual({
      journal: ['driver'],
      exitCode: 0,
      stdout: 'hello 0,hello 1,hello 2\n',
      stderr: '',
    });
  });

  it('may define several actors that make each other', async () => {
    const ended = await run(
      'two',
      `class Host { #greeter = GreeterActor.create(); async welcome(name) { return (await this.#greeter.greet(name)) + ', welcome'; } }
       export const HostActor = defineActor(import.meta, Host);
       await init({ logToDriver: false });
       note('driver');
       console.log(await HostActor.create().welcome('you'));
       await shutdown();`,
    );
    expect(ended).toEqual({
      journal: ['driver'],
      exitCode: 0,
      stdout: 'hello you, welcome\n',
      stderr: '',
    });
  });

  it('may define tasks that call each other, and ends when they have', async () => {
    const ended = await run(
      'tasks',
      `import { defineTask } from '@manta/sdk';
       const double = defineTask(import.meta, (value) => 2 * value);
       const sum = defineTask(import.meta, async (values) =>
         (await get(values.map((value) => double(value)))).reduce((a, b) => a + b, 0));
       await init({ logToDriver: false });
       note('driver');
       console.log(await sum([1, 2, 3]));`,
    );
    expect(ended).toEqual({ journal: ['driver'], exitCode: 0, stdout: '12\n', stderr: '' });
  });

  it('may wait at the top level before init()', async () => {
    const ended = await run(
      'waits',
      `await Promise.resolve();
       await new Promise((resolve) => setTimeout(resolve, 20));
       await init({ logToDriver: false });
       note('driver');
       console.log(await GreeterActor.create().greet('late'));
       await shutdown();`,
    );
    expect(ended).toMatchObject({ journal: ['driver'], exitCode: 0, stdout: 'hello late\n' });
  });

  it('may keep its driver part in a function', async () => {
    const ended = await run(
      'main',
      `async function main() {
         await init({ logToDriver: false });
         note('driver');
         console.log(await GreeterActor.create().greet('main'));
         await shutdown();
       }
       main();`,
    );
    expect(ended).toMatchObject({ journal: ['driver'], exitCode: 0, stdout: 'hello main\n' });
  });

  it('does not end while a part of its test cluster is being ended, cut off or healed', async () => {
    const ended = await run(
      'faults',
      `import { isInitialized } from '@manta/sdk';
       import { startTestCluster } from '@manta/sdk/testing';
       const cluster = await startTestCluster({ nodes: [{ cpus: 1 }, { cpus: 1 }] });
       await init({ address: cluster.address, logToDriver: false });
       const [node, other] = cluster.nodes;
       const steps = {
         partition: () => node.partition(), heal: () => node.heal(),
         stopBroker: () => cluster.stopBroker(), startBroker: () => cluster.startBroker(),
         drain: () => other.drain(100), kill: () => node.kill(),
         killHead: () => cluster.killHead('SIGTERM'), restartHead: () => cluster.restartHead(),
       };
       for (const [name, step] of Object.entries(steps)) {
         await step();
         if (!isInitialized()) note(name);
       }
       await shutdown();
       await cluster[Symbol.asyncDispose]();
       note('end');`,
    );
    expect(ended).toMatchObject({ journal: ['end'], exitCode: 0 });
  });

  it.each(['process', 'thread', 'shared'])(
    'prints what a %s actor has printed right before the end',
    async (isolation) => {
      const ended = await run(
        `prints-${isolation}`,
        `class Talker { say(what) { console.log(what); } }
         export const TalkerActor = defineActor(import.meta, Talker, { isolation: '${isolation}' });
         await init();
         await TalkerActor.create().say('the last words');
         await shutdown();`,
      );
      expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
      expect(ended.stdout).toMatch(/^\(Talker pid=\d+\) the last words\n$/);
    },
  );

  it('ends with what its driver part throws', async () => {
    const ended = await run(
      'throws',
      `await init({ logToDriver: false });
       note('driver');
       console.log(await GreeterActor.create().greet('you'));
       throw new Error('after the greeting');`,
    );
    expect(ended).toMatchObject({ journal: ['driver'], exitCode: 1, stdout: 'hello you\n' });
    expect(ended.stderr).toMatch(/after the greeting/);
  });
});
