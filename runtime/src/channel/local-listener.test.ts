import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProcessId } from '../ids.ts';
import { LocalListener } from './local-listener.ts';

let directory: string;
let sockets: Socket[];
let listener: LocalListener;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'manta-local-'));
  sockets = [];
  listener = new LocalListener({
    processId: 'p_0000000000000000' as ProcessId,
    onSocket: (socket) => sockets.push(socket.on('data', (bytes) => socket.write(bytes))),
    background: false,
  });
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await listener.close();
  rmSync(directory, { recursive: true, force: true });
});

async function come(): Promise<Socket> {
  const socket = connect(listener.path as string);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  return bytes.toString();
}

describe('the Unix socket of a process', () => {
  it('moves to another directory, and those who are connected stay', async () => {
    await listener.listenIn(join(directory, 'first'));
    const former = listener.path as string;
    const early = await come();
    expect(await echo(early, 'a')).toBe('a');
    await listener.listenIn(join(directory, 'second'));
    expect(listener.path).toMatch(/second/);
    expect(existsSync(former)).toBe(false);
    expect(await echo(await come(), 'b')).toBe('b');
    expect(await echo(early, 'c')).toBe('c');
  });

  it('is made again where somebody has removed it, its directory or not', async () => {
    await listener.listenIn(join(directory, 'first'));
    for (const path of [listener.path as string, join(directory, 'first')]) {
      rmSync(path, { recursive: true });
      await listener.listenIn(join(directory, 'first'));
      expect(await echo(await come(), 'a')).toBe('a');
    }
  });

  it('is made again in the directory where it is', async () => {
    await listener.listenIn(directory);
    await listener.listenIn(directory);
    expect(await echo(await come(), 'a')).toBe('a');
  });

  it('is nowhere after a directory that it cannot be in, and comes back', async () => {
    await listener.listenIn(directory);
    await expect(listener.listenIn(join(directory, 'x'.repeat(120)))).rejects.toThrow(
      'its path has',
    );
    expect(await echo(await come(), 'a')).toBe('a');
    await expect(listener.listenIn('/dev/null/folder')).rejects.toThrow('ENOTDIR');
    expect(listener.path).toBeUndefined();
    await listener.listenIn(directory);
    expect(await echo(await come(), 'b')).toBe('b');
  });

  it('leaves no file behind', async () => {
    await listener.listenIn(directory);
    const path = listener.path as string;
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });
});
