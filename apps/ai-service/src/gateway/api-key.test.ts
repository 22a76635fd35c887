import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiKey, apiKeyPath, loadApiKey } from './api-key.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'api-key-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('the first start makes a key that later starts keep', async () => {
  const data = join(folder, 'not', 'there', 'yet');
  const key = await loadApiKey(data);
  expect(key).toMatch(/^sk-manta-[\w-]{43}$/);
  expect(await loadApiKey(data)).toBe(key);
  expect((await readFile(apiKeyPath(data), 'utf8')).trim()).toBe(key);
  expect((await stat(apiKeyPath(data))).mode & 0o777).toBe(0o600);
});

test('starts at the same time agree on one key and leave nothing else', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => loadApiKey(folder)));
  expect(new Set(keys).size).toBe(1);
  expect(await readdir(folder)).toEqual(['api-key']);
});

test('a file that holds no key is refused, and one that others could read is closed', async () => {
  await writeFile(apiKeyPath(folder), 'hello\n');
  await expect(loadApiKey(folder)).rejects.toThrow('does not hold an API key');
  await rm(apiKeyPath(folder));
  await loadApiKey(folder);
  await chmod(apiKeyPath(folder), 0o644);
  await loadApiKey(folder);
  expect((await stat(apiKeyPath(folder))).mode & 0o777).toBe(0o600);
});

test('only the key itself is accepted', () => {
  const key = new ApiKey('sk-manta-secret');
  expect(key.accepts('Bearer sk-manta-secret')).toBe(true);
  expect(key.accepts('bearer  sk-manta-secret ')).toBe(true);
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'sk-manta-secret',
    'Bearer sk-manta-secre',
  ]) {
    expect(key.accepts(header)).toBe(false);
  }
});
