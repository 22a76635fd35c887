import { waitFor } from '@manta/runtime/testing/wait-for';
import { defineActor, defineTask, explain, get, init, kill, ready, shutdown } from '@manta/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProgramDirectory } from './fixtures/program-directory.ts';

const directory = new ProgramDirectory();
beforeAll(async () => {
  await init({ cpus: 16, resources: { seat: 1 }, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  directory.remove();
});

/** What the test knows of the class in the generated module: its name and its methods. */
class Subject {
  value(): unknown {
    return undefined;
  }
  fail(): void {}
}
const actorOf = (name: string) => defineActor(directory.meta(name), Subject);
/** One definition per module in this process, so that its key is the plain name. */
const valueOf = (
  name: string,
  isolation: 'process' | 'thread' | 'shared' = 'process',
): PromiseLike<unknown> => actorOf(name).options({ isolation }).create().value();

const moduleWith = (value: string): string => `import { defineActor } from '@manta/sdk';
class Subject {
  value(): unknown { return ${value}; }
  fail(): void {
    throw new RangeError('on line five');
  }
}
defineActor(import.meta, Subject);
`;

describe('modules of actors', () => {
  it.each(['process', 'thread', 'shared'] as const)(
    'may be TypeScript (isolation %s)',
    async (isolation) => {
      const name = `typescript-${isolation}.ts`;
      directory.write({
        [name]: `import { helper } from './${isolation}-helper.js'; ${moduleWith('[helper(2), import.meta.filename]')}`,
        [`${isolation}-helper.ts`]: 'export const helper = (by: number): number => 21 * by;',
      });
      expect(await valueOf(name, isolation)).toEqual([42, `${directory.path}/${name}`]);
    },
  );

  it('fail their actors when what they await at the top level never ends, and are named meanwhile', async () => {
    directory.write({ 'endless.ts': `${moduleWith('1')}await new Promise(() => {});\n` });
    const options = { runtimeEnv: { setupTimeoutMs: 1_000 } };
    const actor = actorOf('endless.ts').options(options).create();
    await waitFor(async () => (await explain(actor)).reason.includes('endless.ts loads'), {
      describe: 'the module is named',
    });
    const failure = { deathCause: { kind: 'runtime-env-failed' } };
    await expect(actor.value()).rejects.toMatchObject(failure);
    await expect(actor.value()).rejects.toThrow(/endless\.ts .* has not ended after 1000 ms/s);
  });

  it('that still load are left when their actors are killed, and hold nobody else up', async () => {
    directory.write({
      'neighbour.ts': moduleWith('process.pid'),
      'unending.ts': `${moduleWith('1')}await new Promise(() => {});\n`,
      'later.ts': `${moduleWith('process.pid')}await init(); throw new Error('in a host');`.replace(
        'import { ',
        'import { init, ',
      ),
    });
    const Neighbour = actorOf('neighbour.ts').options({ isolation: 'shared' });
    const neighbours = [Neighbour.create(), Neighbour.create()];
    const pids = await get(neighbours.map((neighbour) => neighbour.value()));
    const seat = { resources: { seat: 1 } };
    const Unending = actorOf('unending.ts').options({ isolation: 'shared' });
    const loading = [Unending.create(), Unending.options(seat).create()] as const;
    for (const actor of loading)
      await waitFor(async () => (await explain(actor)).reason.includes('unending.ts loads'), {
        describe: 'the module loads',
      });
    // Two processes at most for them all: what comes now shares one in which a module never ends.
    const Later = actorOf('later.ts').options({ isolation: 'shared' });
    const laterPids = await get([Later.create().value(), Later.create().value()]);
    expect(new Set([...pids, ...laterPids]).size).toBeLessThanOrEqual(2);
    await kill(loading[1]);
    await ready(Neighbour.options(seat).create(), { timeoutMs: 10_000 });
    await kill(loading[0]);
    expect(await get(neighbours.map((neighbour) => neighbour.value()))).toEqual(pids);
  });

  it('fail their tasks when they take longer than the tasks allow', async () => {
    directory.write({
      'endless-task.ts': `import { defineTask } from '@manta/sdk';
        defineTask(import.meta, function subject() {});
        await new Promise(() => {});`,
    });
    const subject = defineTask(directory.meta('endless-task.ts'), function subject() {});
    const runtimeEnv = { setupTimeoutMs: 1_000 };
    await expect(subject.options({ runtimeEnv })()).rejects.toMatchObject({
      name: 'RuntimeEnvSetupError',
      message: expect.stringMatching(/endless-task\.ts .* has not ended after 1000 ms/s),
    });
  });

  it('tell the TypeScript file and line in the stack of what they throw', async () => {
    directory.write({ 'stack.ts': moduleWith('1') });
    const actor = actorOf('stack.ts').create();
    const error = await Promise.resolve(actor.fail()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'TaskError', cause: { name: 'RangeError' } });
    const { stack } = (error as { cause: Error }).cause;
    expect(stack).toMatch(/stack\.ts:5:\d+/);
    expect(stack).not.toMatch(/\.mjs:\d+:\d+\)?\n?.*fail/);
  });

  it('with a syntax error: RuntimeEnvSetupError names file and line', async () => {
    directory.write({ 'broken.ts': 'class Subject {\n  value() { return ]; }\n}' });
    await expect(valueOf('broken.ts')).rejects.toMatchObject({
      name: 'ActorDiedError',
      message: expect.stringMatching(/broken\.ts:2:\d+/),
      deathCause: { kind: 'runtime-env-failed' },
    });
  });

  it('that throw, are missing or lack the class are said so', async () => {
    directory.write({
      'throws.mjs': `throw new Error('no such luck');`,
      'classless.mjs': `export const nothing = 1;`,
      'late.mjs': `import { defineActor, init } from '@manta/sdk'; await init(); defineActor(import.meta, class Subject {});`,
    });
    const failing = {
      'throws.mjs': /no such luck/,
      'missing.mjs': /missing\.mjs/,
      'classless.mjs': /does not define actor Subject/,
      'late.mjs': /before `await init\(\)`/,
    };
    for (const [name, message] of Object.entries(failing)) {
      await expect(valueOf(name), name).rejects.toMatchObject({
        message: expect.stringMatching(message),
        deathCause: { kind: 'runtime-env-failed' },
      });
    }
  });

  it('that throw after the definition fail each time, also in a shared process', async () => {
    directory.write({
      'half.mjs': `${moduleWith('1').replaceAll(/: (unknown|void)/g, '')}throw new Error('half way');`,
    });
    const actor = actorOf('half.mjs').options({ isolation: 'shared' });
    await expect(actor.create().value()).rejects.toThrow(/half way/);
    await expect(actor.create().value()).rejects.toThrow(/half way/);
  });

  it('may define two classes of one name', async () => {
    directory.write({
      'twice.mjs': `import { defineActor } from '@manta/sdk';
        const make = (result) => class Subject { value() { return result; } fail() {} };
        defineActor(import.meta, make('first')); defineActor(import.meta, make('second'));`,
    });
    const [first, second] = [actorOf('twice.mjs'), actorOf('twice.mjs')];
    expect([await first.create().value(), await second.create().value()]).toEqual([
      'first',
      'second',
    ]);
  });
});
