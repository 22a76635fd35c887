import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemClock } from '@manta/runtime/time/clock';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ModuleLoader } from './module-loader.ts';

let written = 0;
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

function loaderIn(loadsAtOnce: boolean): ModuleLoader {
  return new ModuleLoader({ cacheDirectory: directory, loadsAtOnce, clock: systemClock });
}

describe.each([true, false])('a loader whose first module is loaded at once: %s', (atOnce) => {
  it('knows whose driver part was reached, of several modules and beside practised loads', async () => {
    const loader = loaderIn(atOnce);
    let open = (): void => undefined;
    stage.stage = { loader, gate: new Promise((resolve) => (open = resolve)) };
    const practise = async (life: number): Promise<void> => {
      const moduleUrl = write(
        `practice-${life}-${atOnce}.mjs`,
        `globalThis.stage.loader.define(import.meta.url, 'Practice', class Practice {});`,
      );
      await loader.load({ moduleUrl, exportKey: 'Practice' });
      loader.forget(moduleUrl);
    };
    await practise(1);
    const practising = practise(2);
    const urls = ['one', 'two'].map((name) => write(`${name}-${atOnce}.mjs`, program));
    const loads = urls.map((moduleUrl) => loader.load({ moduleUrl, exportKey: 'A' }));
    await practising;
    await practise(3);
    open();
    for (const loaded of await Promise.all(loads)) expect(loaded.name).toBe('A');
  });

  it.each([
    ['an ES module', 'mjs', ''],
    ['a CommonJS module', 'cjs', ''],
    ['a CommonJS module that exports a promise', 'cjs', 'module.exports = new Promise(() => {});'],
    ['an ES module that waits at its top level', 'mjs', 'await null;'],
    ['an ES module that imports one that waits', 'mjs', 'import "./waits.mjs";'],
  ])('evaluates %s once', async (_what, extension, statement) => {
    const loader = loaderIn(atOnce);
    const define = vi.spyOn(loader, 'define');
    stage.stage = { loader, gate: Promise.resolve() };
    write('waits.mjs', 'await null;');
    const url =
      extension === 'mjs'
        ? 'import.meta.url'
        : `require('node:url').pathToFileURL(__filename).href`;
    const moduleUrl = write(
      `once-${++written}.${extension}`,
      `${statement} globalThis.stage.loader.define(${url}, 'A', class A {});`,
    );
    const reference = { moduleUrl, exportKey: 'A' };
    const [first, second] = await Promise.all([loader.load(reference), loader.load(reference)]);
    expect(first).toBe(second);
    expect(define).toHaveBeenCalledTimes(1);
  });

  it.each([
    [`throw new TypeError('no disk')`, /^Module .* could not be loaded on this node: no disk$/],
    ['throw null;', /^Module .* could not be loaded on this node: null$/],
    ['export const = 1;', /^Module .* could not be loaded on this node: .*Unexpected token/s],
  ])('says what is wrong with a module: %s', async (text, message) => {
    const moduleUrl = write(`wrong-${++written}.mjs`, text);
    const load = loaderIn(atOnce).load({ moduleUrl, exportKey: 'A' });
    await expect(load).rejects.toThrow(message);
  });
});

it('loads its first module without leaving the turn of the event loop, where it may', async () => {
  const loader = loaderIn(true);
  stage.stage = { loader, gate: Promise.resolve() };
  const text = `globalThis.stage.loader.define(import.meta.url, 'A', class A {});`;
  const turns: string[] = [];
  setImmediate(() => turns.push('over'));
  await loader.load({ moduleUrl: write('at-once.mjs', text), exportKey: 'A' });
  expect(turns).toEqual([]);
});
