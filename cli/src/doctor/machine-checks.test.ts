import { expect, it } from 'vitest';
import type { Context } from '../context.ts';
import { checkFileLimit } from './machine-checks.ts';

it.runIf(process.platform !== 'win32')('reads the limit of open files on each system', async () => {
  const finding = await checkFileLimit({} as Context, { port: '0' });
  expect(finding.found).toMatch(/^a process may open (\d+|any number of) files$/);
});
