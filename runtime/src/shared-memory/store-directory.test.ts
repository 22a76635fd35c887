import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createIdMint } from '../ids.ts';
import { SharedStore } from './shared-store.ts';
import { chooseStoreDirectory, removeDeadStores } from './store-directory.ts';
import { lengthenFile, openPrivateFile } from './store-files.ts';
import type { NativeMemory } from './native-memory.ts';

const mint = createIdMint((target) => randomFillSync(target));
let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'manta-stores-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const choose = (limitBytes: number, memoryDirectory: string) =>
  chooseStoreDirectory({
    nodeId: mint('node'),
    limitBytes,
    fileDirectory: join(parent, 'files'),
    memoryDirectory,
  });
const newStore = (): string => {
  const { directory } = choose(1, parent);
  SharedStore.create(directory, { limitBytes: 1024 * 1024 });
  return directory;
};
const changeOwner = (directory: string, change: Record<string, unknown>): void => {
  const path = join(directory, 'owner.json');
  const owner = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...owner, ...change }));
};

describe('the directory of a store', () => {
  it('is in shared memory when the limit fits there', () => {
    const chosen = choose(1, parent);
    expect(chosen).toMatchObject({ kind: 'memory', reason: undefined });
    expect(chosen.directory).toMatch(/\/manta-\d+-n_\w{16}$/);
    expect(chosen.directory.startsWith(parent)).toBe(true);
  });

  it('is among files when shared memory is too small or missing, and says why', () => {
    const { bavail, bsize } = statfsSync(parent);
    const small = choose(bavail * bsize * 2, parent);
    expect(small).toMatchObject({
      kind: 'files',
      reason: expect.stringMatching(/bytes free.*--shm-size/) as string,
    });
    expect(small.directory.startsWith(join(parent, 'files'))).toBe(true);
    expect(choose(1, join(parent, 'none')).reason).toMatch(/cannot be used \(ENOENT\)/);
  });
});

describe('dead stores', () => {
  it('are removed: of processes that ended, of numbers used again, of earlier boots', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    const [ended, usedAgain, earlierBoot, alive] = [newStore(), newStore(), newStore(), newStore()];
    changeOwner(ended, { pid: child.pid });
    changeOwner(usedAgain, { startTime: '1' });
    changeOwner(earlierBoot, { machine: 'this-host/another-boot' });
    expect(new Set(removeDeadStores([parent, parent, join(parent, 'none')]))).toEqual(
      new Set([ended, usedAgain, earlierBoot]),
    );
    expect(removeDeadStores([parent])).toEqual([]);
    SharedStore.attach({ directory: alive, processId: mint('process') }).close();
  });

  it('are not: those of other containers, other names, links, what is only being made, and what may be alive', () => {
    const [container, making, timeless] = [newStore(), newStore(), newStore()];
    changeOwner(timeless, { startTime: undefined });
    const { boot } = {
      boot: readFileSync(join(container, 'owner.json'), 'utf8').match(/\/([^/"]+)"/)?.[1],
    };
    changeOwner(container, { machine: `another-host/${boot}`, pid: 1 });
    rmSync(join(making, 'owner.json'));
    const other = join(parent, 'manta-backup');
    mkdirSync(other);
    const target = newStore();
    changeOwner(target, { machine: 'this-host/another-boot' });
    const moved = join(parent, 'moved');
    renameSync(target, moved);
    symlinkSync(moved, target);
    expect(removeDeadStores([parent])).toEqual([]);
    const longAgo = new Date(Date.now() - 600_000);
    utimesSync(making, longAgo, longAgo);
    expect(removeDeadStores([parent])).toEqual([making]);
  });
});

describe('attaching', () => {
  const attach = (directory: string): SharedStore =>
    SharedStore.attach({ directory, processId: mint('process') });

  it('is refused where others can enter, where nothing is, and through links', () => {
    const directory = newStore();
    expect(() => SharedStore.create(directory, { limitBytes: 1 })).toThrow(/Cannot make/);
    chmodSync(directory, 0o750);
    expect(() => attach(directory)).toThrow(/only this user/);
    chmodSync(directory, 0o700);
    renameSync(join(directory, 'control'), join(parent, 'control'));
    expect(() => attach(directory)).toThrow(/no object store/);
    symlinkSync(join(parent, 'control'), join(directory, 'control'));
    expect(() => attach(directory)).toThrow(/ELOOP/);
    rmSync(join(directory, 'control'));
    writeFileSync(join(directory, 'control'), Buffer.alloc(16_384, 7), { mode: 0o600 });
    expect(() => attach(directory)).toThrow(/not made by this version/);
    writeFileSync(join(directory, 'control'), '');
    expect(() => attach(directory)).toThrow(/shorter than it should be/);
  });

  it('is possible once per process id', () => {
    const directory = newStore();
    const options = { directory, processId: mint('process') };
    const store = SharedStore.attach(options);
    expect(() => SharedStore.attach(options)).toThrow(/EEXIST/);
    store.close();
  });
});

describe('a full file system', () => {
  it('is told from the reservation of pages, and the file is as long as before', () => {
    const path = join(parent, 'file');
    writeFileSync(path, 'start', { mode: 0o600 });
    const fd = openPrivateFile(path, 'write');
    const full = { reserve: () => 'noSpace' } as Partial<NativeMemory> as NativeMemory;
    expect(fd !== undefined && lengthenFile(fd, 5, 10_000, full)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('start');
    const unknown = { reserve: () => 'unsupported' } as Partial<NativeMemory> as NativeMemory;
    expect(fd !== undefined && lengthenFile(fd, 5, 3_000_000, unknown)).toBe(true);
    expect(
      readFileSync(path).equals(Buffer.concat([Buffer.from('start'), Buffer.alloc(2_999_995)])),
    ).toBe(true);
  });
});
