import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { compileTypeScript } from './typescript-compiler.ts';

vi.mock('esbuild', async (original) => {
  const real = await original<typeof esbuild>();
  return { ...real, build: vi.fn(real.build) };
});

let root: string;
let cache: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'manta-compile-')));
  cache = join(root, 'cache');
  vi.mocked(esbuild.build).mockClear();
});
afterEach(() => {
  process.setSourceMapsEnabled(false);
  rmSync(root, { recursive: true });
});

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

/** Compiles `name` and runs it as Node does, not through the test runner. */
async function load(name: string): Promise<Record<string, unknown>> {
  const url = await compileTypeScript(join(root, name), cache);
  return (await import(/* @vite-ignore */ url)) as Record<string, unknown>;
}

describe('TypeScript modules', () => {
  it('may import TypeScript by relative path, as .ts, as .js and through a folder', async () => {
    write({
      'main.ts': `import { a } from './lib/a.ts'; import { b } from './lib/b.js'; import { c } from './lib/deep/c.js';
        export const sum: number = a + b + c;`,
      'lib/a.ts': 'export const a: number = 1;',
      'lib/b.ts': `import { c } from './deep/c.ts'; export const b: number = 10 + c - c;`,
      'lib/deep/c.mts': 'export const wrong = 1;',
      'lib/deep/c.ts': 'export const c: number = 100;',
    });
    expect(await load('main.ts')).toMatchObject({ sum: 111 });
  });

  it('may import JSON, JavaScript files and packages', async () => {
    write({
      'main.ts': `import data from './data.json'; import { shared } from './plain.mjs'; import { word } from 'package';
        import { join } from 'node:path';
        export const all = [data.value, shared.count, word as string, join('a', 'b')]; export { shared };`,
      'data.json': '{"value": 7}',
      'plain.mjs': 'export const shared = { count: 1 };',
      'node_modules/package/package.json': `{"name": "package", "type": "module",
        "exports": {"module": "./bundler.js", "import": "./import.js"}}`,
      'node_modules/package/import.js': `export const word = 'imported';`,
      'node_modules/package/bundler.js': `export const word = 'for bundlers';`,
    });
    const main = await load('main.ts');
    expect(main['all']).toEqual([7, 1, 'imported', 'a/b']);
    const plain = (await import(
      /* @vite-ignore */ pathToFileURL(join(root, 'plain.mjs')).href
    )) as { shared: object };
    expect(main['shared']).toBe(plain.shared);
  });

  it('tells each source its own place by import.meta, and leaves texts alone', async () => {
    write({
      'main.ts': `#!/usr/bin/env node
import { place } from './lib/place.ts';
export const mine = import.meta.url, directory = import.meta.dirname, file = import.meta.filename;
export const text = 'import.meta.url is a text'; // import.meta.url
export { place };`,
      'lib/place.ts': 'export const place: string = import.meta.url;',
    });
    expect(await load('main.ts')).toMatchObject({
      mine: pathToFileURL(join(root, 'main.ts')).href,
      directory: root,
      file: join(root, 'main.ts'),
      text: 'import.meta.url is a text',
      place: pathToFileURL(join(root, 'lib/place.ts')).href,
    });
  });

  it('keeps the names of classes', async () => {
    write({
      'main.ts': `import { Counter as Other } from './other.ts';
        export class Counter { private count: number = 0; static made = new Counter().count; }
        export const names = [Counter.name, Other.name, Counter.made];`,
      'other.ts': 'export class Counter {}',
    });
    expect((await load('main.ts'))['names']).toEqual(['Counter', 'Counter', 0]);
  });

  it('names file and line of a syntax error, of the module or of what it imports', async () => {
    write({ 'main.ts': 'const a = 1;\nconst = 2;', 'outer.ts': `import './main.ts';` });
    await expect(load('main.ts')).rejects.toThrow(/main\.ts:2:6: Expected identifier/);
    await expect(load('outer.ts')).rejects.toThrow(/main\.ts:2:6/);
    write({ 'outer.ts': `\n\nimport { x } from './not-there.ts'; export const y = x;` });
    await expect(load('outer.ts')).rejects.toThrow(/outer\.ts:3:\d+: .*not-there/);
    await expect(load('nothing.ts')).rejects.toThrow(/nothing\.ts/);
  });
});

describe('the cache', () => {
  const builds = (): number => vi.mocked(esbuild.build).mock.calls.length;

  it('starts no compiler when nothing has changed', async () => {
    write({ 'main.ts': 'export const value: number = 1;' });
    const first = await compileTypeScript(join(root, 'main.ts'), cache);
    expect(builds()).toBe(1);
    expect(await compileTypeScript(join(root, 'main.ts'), cache)).toBe(first);
    expect(builds()).toBe(1);
  });

  it('compiles again when the module, or what it imports, has changed', async () => {
    write({
      'main.ts': `export { value } from './lib.ts';`,
      'lib.ts': 'export const value: number = 1;',
    });
    expect(await load('main.ts')).toMatchObject({ value: 1 });
    write({ 'lib.ts': 'export const value: number = 2;' });
    expect(await load('main.ts')).toMatchObject({ value: 2 });
    write({ 'main.ts': `export const value: number = 3;` });
    expect(await load('main.ts')).toMatchObject({ value: 3 });
    expect(builds()).toBe(3);
  });

  it('notices a changed JSON file', async () => {
    write({
      'main.ts': `import data from './data.json'; export const value = data;`,
      'data.json': '1',
    });
    expect(await load('main.ts')).toMatchObject({ value: 1 });
    write({ 'data.json': '2' });
    expect(await load('main.ts')).toMatchObject({ value: 2 });
  });

  it('is safe to fill from many compilers at once', async () => {
    write({ 'main.ts': 'export const value: number = 1;' });
    const urls = await Promise.all(
      Array.from({ length: 8 }, () => compileTypeScript(join(root, 'main.ts'), cache)),
    );
    expect(new Set(urls).size).toBe(1);
    expect(
      readdirSync(cache)
        .map((name) => name.slice(32))
        .sort(),
    ).toEqual(['.json', '.mjs']);
    expect(statSync(new URL(urls[0] as string)).size).toBeGreaterThan(0);
  });

  it('survives a broken manifest', async () => {
    write({ 'main.ts': 'export const value: number = 1;' });
    await load('main.ts');
    for (const name of readdirSync(cache))
      if (name.endsWith('.json')) writeFileSync(join(cache, name), '{"output":');
    expect(await load('main.ts')).toMatchObject({ value: 1 });
    expect(builds()).toBe(2);
  });
});
