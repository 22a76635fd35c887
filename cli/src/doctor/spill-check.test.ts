import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Context } from '../context.ts';
import { checkSpill, spillFinding } from './spill-check.ts';

const GIB = 1024 ** 3;
const disk = (directory: string, freeBytes: number) => ({
  directory,
  space: { freeBytes: freeBytes * GIB, totalBytes: 100 * GIB },
});

it('is content while one of the disks has room', () => {
  expect(spillFinding([disk('/a', 2), disk('/b', 6)])).toEqual({
    what: 'spill disk',
    level: 'ok',
    found:
      '/a has 2 GiB of 100 GiB free, of which nodes leave 5 GiB to others; ' +
      '/b has 6 GiB of 100 GiB free, of which nodes leave 5 GiB to others',
  });
});

it('says what to do when no disk has room', () => {
  expect(spillFinding([disk('/a', 2), disk('/b', 5)])).toMatchObject({
    level: 'note',
    found: expect.stringContaining('no more can be stored') as string,
    todo: expect.stringContaining('--spill') as string,
  });
});

it('looks at the disk on which a directory will be made', async () => {
  const spill = join(tmpdir(), 'manta-not-there', 'spill');
  const finding = await checkSpill({ home: '/' } as Context, { spill, port: '0' });
  expect(finding.found).toMatch(/manta-not-there\/spill has .* free/);
});
