import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { TestStore } from '../testing/test-store.ts';

const MIB = 1024 * 1024;

it('segments grow by no more than is filled with zeros at once where pages cannot be reserved', async () => {
  const world = new TestStore({ access: 'copied' }, 2048 * MIB);
  try {
    const store = world.attach();
    const value = Buffer.alloc(8 * MIB);
    for (let written = 0; written < 80 * MIB; written += value.byteLength)
      expect(store.write([value], value.byteLength)).toBeDefined();
    const sizes = readdirSync(world.directory)
      .filter((name) => name.startsWith('segment-'))
      .map((name) => statSync(join(world.directory, name)).size);
    expect(Math.max(...sizes)).toBeGreaterThan(32 * MIB);
    expect(Math.max(...sizes)).toBeLessThan(33 * MIB);
  } finally {
    await world.close();
  }
});
