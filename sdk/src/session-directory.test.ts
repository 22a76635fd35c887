import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSessionDirectory, removeDeadSessions, sessionRoot } from './session-directory.ts';

let directory: string;
let root: string;
beforeEach(() => {
  // Not in the directory for temporary files, which may be too long (see below).
  directory = mkdtempSync('/tmp/manta-sessions-');
  vi.stubEnv('TMPDIR', directory);
  root = join(directory, `manta-${userInfo().uid}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

describe('session directories', () => {
  it('lie in the directory for temporary files, unless it leaves no room for the path of a socket', () => {
    expect(sessionRoot()).toBe(root);
    vi.stubEnv('TMPDIR', '/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/');
    expect(sessionRoot()).toBe(`/tmp/manta-${userInfo().uid}`);
  });

  it("are this user's alone, each a new one", async () => {
    const [first, second] = [await createSessionDirectory(), await createSessionDirectory()];
    expect(first).not.toBe(second);
    for (const path of [root, first, second]) expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('are not made where others can reach', async () => {
    mkdirSync(root);
    chmodSync(root, 0o777);
    await expect(createSessionDirectory()).rejects.toThrow(/only this user/);
    rmSync(root, { recursive: true });
    mkdirSync(join(directory, 'elsewhere'), { mode: 0o700 });
    symlinkSync(join(directory, 'elsewhere'), root);
    await expect(createSessionDirectory()).rejects.toThrow(/only this user/);
  });

  it('of dead processes are removed, and nothing else', async () => {
    const mine = basename(await createSessionDirectory());
    // Beyond the largest id that a process can have.
    for (const name of ['99999999-abc', '1-init', 'something'])
      mkdirSync(join(root, name, 'node'), { recursive: true });
    await removeDeadSessions();
    expect(new Set(readdirSync(root))).toEqual(new Set([mine, '1-init', 'something']));
  });
});
