/**
 * Uses a private cluster as programs do, once for each kind of process, while those keep what is compiled of them
 * (keep-code.mjs). What they do here they start with on every machine of this Node.js.
 */
import { defineActor, defineTask, get, init, kill, put, shutdown, wait } from '@manta/sdk';

/** Too large for a message: it goes by shared memory. */
const LARGE_BYTES = 1_000_000;
const CALLS = 200;
const LIVES = 10;

class Exercise {
  small() {
    return Buffer.from('ok');
  }
  echo(value) {
    return value;
  }
  async later(value) {
    return { value: await Promise.resolve(value) };
  }
  *numbers() {
    yield 1;
    yield 2;
  }
  fail() {
    throw new RangeError('as it should');
  }
  exit() {
    process.exit();
  }
}

export const OwnProcess = defineActor(import.meta, Exercise, { cpus: 0 });
export const SharedProcess = defineActor(import.meta, Exercise, { cpus: 0, isolation: 'shared' });
export const echo = defineTask(import.meta, (value) => value, { name: 'echo' });
export const exit = defineTask(import.meta, () => process.exit(), { name: 'exit', maxRetries: 0 });

async function exerciseObjects() {
  for (const value of [{ small: 1 }, Buffer.alloc(LARGE_BYTES)]) {
    const ref = put(value);
    await wait([ref]);
    await get(ref);
  }
}

async function exerciseActor(Definition) {
  for (let life = 0; life < LIVES; life += 1) {
    const actor = Definition.create();
    await actor.small();
    await kill(actor);
  }
  const actor = Definition.create();
  await get(Array.from({ length: CALLS }, () => actor.small()));
  await actor.echo(put(Buffer.alloc(LARGE_BYTES)));
  await actor.later(await actor.echo({ list: [1, 'two', new Date(0)] }));
  for await (const number of actor.numbers()) await actor.echo(number);
  await failure(actor.fail());
  await failure(actor.exit());
}

async function exerciseTasks() {
  await get(Array.from({ length: CALLS }, (_, index) => echo(index)));
  await get(echo(put(Buffer.alloc(LARGE_BYTES))));
  await failure(exit());
}

/** @throws Error when there is none. */
function failure(promise) {
  return promise.then(
    (value) => {
      throw new Error(`an error was expected, not ${String(value)}`);
    },
    () => undefined,
  );
}

await init();
await exerciseObjects();
await exerciseActor(OwnProcess);
await exerciseActor(SharedProcess);
await exerciseTasks();
await shutdown();
