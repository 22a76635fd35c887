import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Report } from './report/report.ts';
import { repositoryPath } from './repository.ts';

test('a quick run of the gateway suite compares the route with a direct call', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'manta-bench-test-'));
  try {
    const json = join(directory, 'gateway.json');
    const args = [repositoryPath('bench/dist/main.js'), 'gateway', '--quick', '--json', json];
    await promisify(execFile)(process.execPath, args);
    const { rows } = JSON.parse(await readFile(json, 'utf8')) as Report;
    expect(rows.map(({ name, unit }) => [name, unit])).toEqual([
      ['gateway_embeddings_p50', 'ms'],
      ['gateway_embeddings_added_p50', 'ms'],
      ['gateway_embeddings_p99', 'ms'],
      ['gateway_embeddings_added_p99', 'ms'],
    ]);
    const [p50, added] = rows;
    expect(p50?.value).toBeGreaterThan(0);
    expect(added?.value).toBeCloseTo((p50?.value ?? 0) - (p50?.limit?.value ?? 0));
  } finally {
    await rm(directory, { recursive: true });
  }
});
