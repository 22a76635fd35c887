import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { repositoryPath } from './repository.ts';

const run = promisify(execFile);

test('a command that makes no sense ends with code 2 and says what to write', async () => {
  const main = repositoryPath('bench/dist/main.js');
  await expect(run(process.execPath, [main, 'nothing'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('No suite "nothing"'),
  });
});

test('--help tells the options and does nothing', async () => {
  const main = repositoryPath('bench/dist/main.js');
  const { stdout } = await run(process.execPath, [main, 'core', '--help']);
  expect(stdout).toContain('--rows PATTERN');
});
