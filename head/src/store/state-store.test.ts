import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { openLmdbStore } from './lmdb-store.ts';
import { MemoryStore } from './memory-store.ts';
import type { StateStore } from './state-store.ts';

const directories: string[] = [];
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'manta-store-'));
  directories.push(path);
  return path;
}
afterAll(() => {
  for (const path of directories) rmSync(path, { recursive: true, force: true });
});

describe.each([
  ['memory', () => new MemoryStore()],
  ['lmdb', () => openLmdbStore(directory())],
])('StateStore: %s', (_name, open: () => StateStore) => {
  let store: StateStore;
  afterEach(() => store.close());

  it('gives back what was put, table by table', async () => {
    store = open();
    const record = {
      text: 'ü',
      count: 2 ** 40,
      list: [1, null],
      nested: { flag: true },
      bytes: Buffer.of(0, 255),
    };
    store.put('actors', 'a', record);
    store.put('nodes', 'a', 1);
    await store.commit();
    expect([...store.load('actors')]).toEqual([['a', record]]);
    expect([...store.load('nodes')]).toEqual([['a', 1]]);
    expect([...store.load('jobs')]).toEqual([]);
  });

  it('takes the value as it is at the put, without undefined fields', async () => {
    store = open();
    const record: { value: number; absent: undefined } = { value: 1, absent: undefined };
    store.put('actors', 'a', record);
    record.value = 2;
    await store.commit();
    expect([...store.load('actors')]).toStrictEqual([['a', { value: 1 }]]);
  });

  it('keeps the last of several changes, deletions too', async () => {
    store = open();
    store.put('jobs', 'kept', 1);
    store.put('jobs', 'gone', 1);
    await store.commit();
    store.put('jobs', 'kept', 2);
    store.delete('jobs', 'gone');
    store.delete('jobs', 'never-there');
    store.put('jobs', 'brief', 1);
    store.delete('jobs', 'brief');
    await store.commit();
    expect([...store.load('jobs')]).toEqual([['kept', 2]]);
  });

  it('commits nothing, and commits in order', async () => {
    store = open();
    const order: number[] = [];
    const commits = [0, 1, 2].map((index) => {
      if (index !== 1) store.put('meta', String(index), index);
      return store.commit().then(() => order.push(index));
    });
    await Promise.all(commits);
    expect(order).toEqual([0, 1, 2]);
  });
});

describe('LMDB store', () => {
  it('lasts over a close', async () => {
    const path = directory();
    const first = openLmdbStore(path);
    first.put('meta', 'clusterId', 'c');
    await first.commit();
    await first.close();
    const second = openLmdbStore(path);
    expect([...second.load('meta')]).toEqual([['clusterId', 'c']]);
    await second.close();
  });

  it('loses nothing that was committed when its process is killed with SIGKILL', async () => {
    const path = directory();
    const code = `
      import { openLmdbStore } from ${JSON.stringify(new URL('../../dist/store/lmdb-store.js', import.meta.url).href)};
      const store = openLmdbStore(process.argv[1]);
      for (let index = 0; ; index++) {
        store.put('actors', 'a' + index, { index });
        store.put('nodes', 'n' + index, { index });
        await store.commit();
        process.stdout.write(index + '\\n');
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    for await (const chunk of child.stdout) {
      output += String(chunk);
      if (output.split('\n').length > 200) break;
    }
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    const committed = Number(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1));
    const store = openLmdbStore(path);
    const actors = new Map(store.load('actors'));
    const nodes = new Map(store.load('nodes'));
    for (let index = 0; index <= committed; index++)
      expect(actors.get(`a${index}`)).toEqual({ index });
    // What was put in one turn is there together, or not at all.
    expect(nodes.size).toBe(actors.size);
    await store.close();
  });
});
