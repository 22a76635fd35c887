import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { processStart } from './process-start.ts';

const hasPs = spawnSync('ps', ['-o', 'lstart=', '-p', String(process.pid)]).status === 0;

afterEach(() => vi.unstubAllEnvs());

describe('the start of a process', () => {
  it.runIf(hasPs)('is told by ps where there is no /proc, the same in each time zone', () => {
    const told = processStart(process.pid, 'darwin');
    expect(told).toMatch(/ \d\d:\d\d:\d\d \d{4}$/);
    vi.stubEnv('TZ', 'Asia/Tokyo');
    vi.stubEnv('LC_ALL', 'de_DE.UTF-8');
    expect(processStart(process.pid, 'darwin')).toBe(told);
  });

  it.each(['linux', 'darwin'] as const)('is not known when it is gone (%s)', async (platform) => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    expect(processStart(child.pid as number, platform)).toBeUndefined();
  });
});
