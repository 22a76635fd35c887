import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';
import { listenChannels } from './channel-server.ts';
import { checkSocketPath } from './socket-path.ts';

const pathOf = (bytes: number): string => `/é${'x'.repeat(bytes - 3)}`;

it.each([
  ['linux', 107],
  ['darwin', 103],
] as const)('a socket on %s has a path of %i bytes at most', (platform, bytesMax) => {
  checkSocketPath(pathOf(bytesMax), platform);
  const tooLong = pathOf(bytesMax + 1);
  const told = `${bytesMax + 1} bytes, and this system takes ${bytesMax} at most`;
  expect(() => checkSocketPath(tooLong, platform)).toThrow(MantaError);
  for (const part of [tooLong, told, 'TMPDIR', 'MANTA_HOME'])
    expect(() => checkSocketPath(tooLong, platform)).toThrow(part);
});

it('nobody listens where the path is too long', async () => {
  const socketDirectory = join(tmpdir(), 'x'.repeat(100));
  const listening = listenChannels({
    processId: 'p_0123456789abcdef' as ProcessId,
    role: 'host',
    machineId: 'm',
    token: 'the-token',
    socketDirectory,
    onChannel: () => undefined,
  });
  await expect(listening).rejects.toThrow(socketDirectory);
  expect(existsSync(socketDirectory)).toBe(false);
});
