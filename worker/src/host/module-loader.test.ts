import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { ModuleLoader } from './module-loader.ts';

const directory = mkdtempSync(join(tmpdir(), 'manta-loader-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What the modules of these tests find, as those of users find the SDK of their host. */
const stage = globalThis as unknown as { stage: { loader: ModuleLoader; gate: Promise<void> } };

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return pathToFileURL(path).href;
}

/** A class, and after something that takes its time a driver part that never goes on. */
const program = `const { loader, gate } = globalThis.stage;
  loader.define(import.meta.url, 'A', class A {});
  await gate;
  loader.reachedDriverPart();
  await new Promise(() => {});`;

it('knows whose driver part was reached, of several modules and beside practised loads', async () => {
  const loader = new ModuleLoader(directory);
  let open = (): void => undefined;
  stage.stage = { loader, gate: new Promise((resolve) => (open = resolve)) };
  const practise = async (life: number): Promise<void> => {
    const moduleUrl = write(
      `practice-${life}.mjs`,
      `globalThis.stage.loader.define(import.meta.url, 'Practice', class Practice {});`,
    );
    await loader.load({ moduleUrl, exportKey: 'Practice' });
    loader.forget(moduleUrl);
  };
  await practise(1);
  const practising = practise(2);
  const urls = ['one.mjs', 'two.mjs'].map((name) => write(name, program));
  const loads = urls.map((moduleUrl) => loader.load({ moduleUrl, exportKey: 'A' }));
  await practising;
  await practise(3);
  open();
  for (const loaded of await Promise.all(loads)) expect(loaded.name).toBe('A');
});
