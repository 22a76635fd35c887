import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Report } from './report/report.ts';
import { repositoryPath } from './repository.ts';
import { coreParts } from './suites/core.ts';

const run = promisify(execFile);

test('a quick run of the core suite gives every row, a table, JSON and a chart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'manta-bench-test-'));
  try {
    const json = join(directory, 'core.json');
    const svg = join(directory, 'core.svg');
    const main = repositoryPath('bench/dist/main.js');
    const args = [main, 'core', '--quick', '--json', json, '--svg', svg];
    const { stdout } = await run(process.execPath, args);
    const report = JSON.parse(await readFile(json, 'utf8')) as Report;
    const expected = coreParts
      .flat()
      .filter((name) => process.platform === 'linux' || name !== '100k_shared_actors_memory');
    expect(report.rows.map((row) => row.name).toSorted()).toEqual(expected.toSorted());
    expect(report.rows.filter((row) => row.value <= 0)).toEqual([]);
    expect(report.rows.filter((row) => row.limit !== undefined)).toHaveLength(13);
    expect(report.quick).toBe(true);
    expect(stdout).toContain('QUICK RUN');
    expect(await readFile(svg, 'utf8')).toContain('1_1_actor_calls_sync');
  } finally {
    await rm(directory, { recursive: true });
  }
});
