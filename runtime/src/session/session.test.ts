import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressWithToken, parseAddress } from './address.ts';
import {
  mantaHome,
  readSession,
  removeSession,
  sessionPath,
  writeSession,
  type Session,
} from './session-file.ts';

describe('parseAddress', () => {
  it.each([
    ['nats://10.0.0.5:4222', { url: 'nats://10.0.0.5:4222' }],
    ['nats://secret@10.0.0.5:4300', { url: 'nats://10.0.0.5:4300', token: 'secret' }],
    ['nats://head', { url: 'nats://head:4222' }],
    ['head:80', { url: 'nats://head:80' }],
    ['tls://[::1]:4222/', { url: 'tls://[::1]:4222' }],
  ])('%s', (text, expected) => {
    expect(parseAddress(text)).toEqual(expected);
  });

  it('keeps a token with any characters', () => {
    const address = addressWithToken('nats://127.0.0.1:4222', 'a/b@c:d %');
    expect(parseAddress(address)).toEqual({ url: 'nats://127.0.0.1:4222', token: 'a/b@c:d %' });
  });

  it.each(['', 'http://host:1', 'nats://', 'nats://host:99999', 'nats://host/path'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseAddress(text)).toThrowError(/not a cluster address/);
    },
  );

  it('does not repeat the token in the error', () => {
    expect(() => parseAddress('nats://topsecret@host:x')).toThrowError(
      expect.objectContaining({ message: expect.not.stringContaining('topsecret') }),
    );
  });
});

describe('session file', () => {
  const session: Session = {
    address: 'nats://127.0.0.1:4222',
    token: 't',
    clusterId: 'c_1',
    pids: { head: 10, nodes: [11, 12] },
    startedAt: 5,
  };
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'manta-session-'));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  it('reads back what was written, with mode 0600 and nothing beside it', async () => {
    await writeSession(session, home);
    expect(await readSession(home)).toEqual(session);
    expect((await stat(sessionPath(home))).mode & 0o777).toBe(0o600);
    expect(await readdir(home)).toEqual(['session.json']);
  });

  it('is undefined when there is none, or after removal', async () => {
    expect(await readSession(home)).toBeUndefined();
    await writeSession(session, home);
    await removeSession(home);
    await removeSession(home);
    expect(await readSession(home)).toBeUndefined();
  });

  it.each(['{"address":', '{"address":"nats://x:1"}'])(
    'names the file when its text is %s',
    async (text) => {
      await writeFile(sessionPath(home), text);
      await expect(readSession(home)).rejects.toThrowError(sessionPath(home));
    },
  );

  it('takes MANTA_HOME before the home directory', () => {
    expect(mantaHome({ MANTA_HOME: '/x' })).toBe('/x');
    expect(mantaHome({})).toMatch(/\.manta$/);
  });
});
