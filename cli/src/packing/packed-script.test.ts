import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { codeCacheOf, engineBuild, readPackedScript, runPackedScript } from './packed-script.ts';

const directory = mkdtempSync(join(tmpdir(), 'manta-packing-'));
afterAll(() => rmSync(directory, { recursive: true }));

const found: { value?: unknown } = {};
(globalThis as { packedScriptFound?: typeof found }).packedScriptFound = found;

/** A packed program that says what it finds around it. */
const SOURCE = `(function(require,IMPORT,META,module){
"use strict";globalThis.packedScriptFound.value = IMPORT('node:os').then((os) =>
  [require('node:os').EOL === os.EOL, META.url, module.exports]);
})`;
const WHAT_IT_FINDS = [true, 'file:///program.js', {}];

function written(name: string, cache?: Uint8Array): URL {
  const file = join(directory, name);
  writeFileSync(file, SOURCE);
  if (cache !== undefined) writeFileSync(codeCacheOf(file), cache);
  return pathToFileURL(file);
}

async function whatItFinds(file: URL): Promise<unknown> {
  runPackedScript(readPackedScript(file), { url: 'file:///program.js' } as ImportMeta);
  return found.value;
}

describe('a packed script', () => {
  it('finds what a module would, and can import', async () => {
    const file = written('plain.cjs');
    expect(readPackedScript(file).cachedDataRejected).toBeUndefined();
    expect(await whatItFinds(file)).toEqual(WHAT_IT_FINDS);
  });

  it('can import also when its code was compiled before', async () => {
    const script = readPackedScript(written('first.cjs'));
    const file = written('second.cjs', script.createCachedData());
    expect(readPackedScript(file).cachedDataRejected).toBe(false);
    expect(await whatItFinds(file)).toEqual(WHAT_IT_FINDS);
  });

  it('is compiled as ever where the code that was kept is of another Node.js', async () => {
    const file = written('other.cjs');
    const other = engineBuild().replace(process.version, 'v20.19.0-other');
    const code = readPackedScript(file).createCachedData();
    writeFileSync(codeCacheOf(fileURLToPath(file), other), code);
    expect(readPackedScript(file).cachedDataRejected).toBeUndefined();
    writeFileSync(codeCacheOf(fileURLToPath(file)), code);
    expect(readPackedScript(file).cachedDataRejected).toBe(false);
  });

  it('is compiled as ever where V8 refuses the code that was kept', async () => {
    const file = written('spoiled.cjs', Buffer.from('of another version'));
    expect(readPackedScript(file).cachedDataRejected).toBe(true);
    expect(await whatItFinds(file)).toEqual(WHAT_IT_FINDS);
  });
});

it.each(['host-main', 'cluster-program'])('the code of %s was kept and is taken', async (name) => {
  const dist = new URL('../../dist/', import.meta.url);
  const program = `
    import { readPackedScript } from ${JSON.stringify(new URL('packing/packed-script.js', dist).href)};
    const file = new URL(${JSON.stringify(new URL(`packed/${name}.cjs`, dist).href)});
    console.log(readPackedScript(file).cachedDataRejected);`;
  const file = join(directory, `${name}.mjs`);
  writeFileSync(file, program);
  const { stdout } = await promisify(execFile)(process.execPath, [file], {
    env: { PATH: process.env['PATH'] },
    cwd: fileURLToPath(dist),
  });
  expect(stdout.trim()).toBe('false');
});
