import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { processTree, treeMemoryBytes } from './process-tree.ts';

describe.runIf(process.platform === 'linux')('a tree of processes', () => {
  test('includes children and their memory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'manta-tree-'));
    const program = join(directory, 'child.mjs');
    await writeFile(
      program,
      `globalThis.held = Buffer.alloc(64 * 2 ** 20, 1); setInterval(() => {}, 1e6); process.send('ready');`,
    );
    const child = fork(program, { execArgv: [] });
    try {
      await once(child, 'message');
      expect(await processTree(process.pid)).toContain(child.pid);
      const alone = (await treeMemoryBytes(child.pid ?? 0)) ?? 0;
      expect(alone).toBeGreaterThan(64 * 2 ** 20);
      expect(await treeMemoryBytes(process.pid)).toBeGreaterThan(alone);
    } finally {
      const exited = once(child, 'exit');
      child.kill();
      await exited;
      await rm(directory, { recursive: true });
    }
  });
});
