import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, expect, test } from 'vitest';
import { builtModuleFile } from './built-module.ts';
import { EngineThread } from './engine-thread.ts';

const folder = mkdtempSync(join(tmpdir(), 'manta-engine-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A small engine with everything that can happen in one. */
const ENTRY = `
  import { serveEngine } from '${pathToFileURL(builtModuleFile('models/engine/serve-engine')).href}';
  import { ModelInputError } from '${pathToFileURL(builtModuleFile('models/errors')).href}';
  let cancelled = 0;
  const methods = {
    double: async ({ payload }) => ({ result: payload * 2 }),
    refuse: async () => { throw new ModelInputError('too big', 'size'); },
    crash: async () => { setImmediate(() => { throw new Error('the engine broke'); }); await new Promise(() => {}); },
    exit: async () => process.exit(3),
    countCancelled: async () => ({ result: cancelled }),
    endless: async ({ signal, send }) => {
      for (let item = 0; !signal.aborted; item++) {
        send(item);
        await new Promise((resolve) => setImmediate(resolve));
      }
      cancelled++;
      return { result: undefined };
    },
    upTo: async ({ payload, send }) => {
      for (let item = 0; item < payload; item++) send(item);
      return { result: undefined };
    },
    reverse: async ({ payload }) => {
      const result = payload.reverse();
      return { result, transfer: [result.buffer] };
    },
  };
  await serveEngine(async (options) => {
    if (options.broken) throw new Error('no such model');
    return { call: (method, call) => methods[method](call), [Symbol.asyncDispose]: async () => {} };
  });
`;
const entryFile = join(folder, 'engine.mjs');
writeFileSync(entryFile, ENTRY);

const threads: EngineThread[] = [];
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread[Symbol.asyncDispose]()));
});

function startThread(options: { broken?: boolean } = {}): EngineThread {
  const thread = new EngineThread({ name: 'small', entryFile, options });
  threads.push(thread);
  return thread;
}

async function collect(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const collected: unknown[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test('answers calls, also those made before it has started', async () => {
  const thread = startThread();
  expect(await Promise.all([1, 2, 3].map((value) => thread.call('double', value)))).toEqual([
    2, 4, 6,
  ]);
  await thread.started;
});

test('moves buffers there and back', async () => {
  const thread = startThread();
  const sent = Uint8Array.of(1, 2, 3);
  const received = await thread.call('reverse', sent, { transfer: [sent.buffer] });
  expect(received).toEqual(Uint8Array.of(3, 2, 1));
  expect(sent).toHaveLength(0);
});

test('streams items in order, to their end', async () => {
  const thread = startThread();
  const streams = [3, 0, 5].map((count) => collect(thread.stream('upTo', count)));
  expect(await Promise.all(streams)).toEqual([[0, 1, 2], [], [0, 1, 2, 3, 4]]);
});

test('keeps bad input apart from failures', async () => {
  const thread = startThread();
  await expect(thread.call('refuse', 1)).rejects.toMatchObject({
    name: 'ModelInputError',
    message: 'too big',
    param: 'size',
  });
  expect(await thread.call('double', 4)).toBe(8);
});

test('tells the engine when the reader leaves or aborts', async () => {
  const thread = startThread();
  for await (const item of thread.stream('endless', undefined)) {
    if (item === 5) break;
  }
  await expect.poll(() => thread.call('countCancelled', undefined)).toBe(1);
  const abort = new AbortController();
  const reading = collect(thread.stream('endless', undefined, { signal: abort.signal }));
  const calling = thread.call('endless', undefined, { signal: abort.signal });
  abort.abort(new Error('gone'));
  await expect(reading).rejects.toThrow('gone');
  await expect(calling).rejects.toThrow('gone');
  await expect.poll(() => thread.call('countCancelled', undefined)).toBe(3);
});

test.each([
  ['crash', /engine of model small died: the engine broke/],
  ['exit', /engine of model small ended with exit code 3/],
])(
  'when the thread ends by %s, all that runs and all that follows fails',
  async (method, message) => {
    const thread = startThread();
    const stream = collect(thread.stream('endless', undefined));
    const call = thread.call(method, undefined);
    await expect(call).rejects.toThrow(message);
    await expect(stream).rejects.toThrow(message);
    await expect(thread.call('double', 1)).rejects.toThrow(message);
    expect((await thread.failed).message).toMatch(message);
  },
);

test('an engine that cannot start says why, in every call', async () => {
  const thread = startThread({ broken: true });
  const message = /engine of model small could not start: no such model/;
  await expect(thread.call('double', 1)).rejects.toThrow(message);
  await expect(thread.started).rejects.toThrow(message);
});

test('an entry file that is not there is a failed start', async () => {
  const thread = new EngineThread({
    name: 'small',
    entryFile: join(folder, 'none.mjs'),
    options: {},
  });
  threads.push(thread);
  await expect(thread.started).rejects.toThrow(/none\.mjs/);
});

test('a value that cannot be sent fails its call only', async () => {
  const thread = startThread();
  await expect(thread.call('double', () => 1)).rejects.toThrow(/could not be cloned/);
  expect(await thread.call('double', 1)).toBe(2);
});
