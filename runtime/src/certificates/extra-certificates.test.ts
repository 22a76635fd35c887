import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_CERTIFICATE } from '../testing/test-certificate.ts';
import { startTlsServer, type TlsServer } from '../testing/tls-server.ts';
import { nodeStart } from './node-start.ts';

const directory = mkdtempSync(join(tmpdir(), 'manta-certificates-'));
let server: TlsServer;

beforeAll(async () => {
  server = await startTlsServer();
});
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

function fileOf(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

/** What a program prints that is started with this file, on a Node.js of the version that would read it at once. */
async function run(program: string, file: string | undefined): Promise<string> {
  const { nodeArguments, environment } = nodeStart(
    {
      PATH: process.env['PATH'],
      URL: server.url,
      ...(file === undefined ? {} : { NODE_EXTRA_CA_CERTS: file }),
    },
    '20.19.0',
  );
  const args = [...nodeArguments, fileOf('program.mjs', program)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    env: environment,
  });
  return `${stdout}${stderr}`.trim();
}

const FETCH = `console.log(await fetch(process.env.URL).then((r) => r.text(), (e) => e.cause.code));`;

describe('a process that is started with extra certificates', () => {
  const programs = {
    fetch: FETCH,
    'https.get': `import { get } from 'node:https';
      get(process.env.URL, (r) => r.on('data', (d) => console.log(String(d)))).on('error', (e) => console.log(e.code));`,
    'tls.connect with options of its own': `import { connect } from 'node:tls';
      const { port } = new URL(process.env.URL);
      const socket = connect({ port, host: 'localhost', minVersion: 'TLSv1.3' }, () => {
        console.log(socket.authorized ? 'trusted' : 'not');
        socket.end();
      }).on('error', (e) => console.log(e.code));`,
    'a context that is made by name': `import { connect, createSecureContext } from 'node:tls';
      const { port } = new URL(process.env.URL);
      const socket = connect({ port, host: 'localhost', secureContext: createSecureContext() }, () => {
        console.log(socket.authorized ? 'trusted' : 'not');
        socket.end();
      }).on('error', (e) => console.log(e.code));`,
    'a worker thread': `import { Worker } from 'node:worker_threads';
      new Worker(${JSON.stringify(`import('node:https').then(({ get }) =>
        get(process.env.URL, (r) => r.on('data', (d) => console.log(String(d)))).on('error', (e) => console.log(e.code)))`)}, { eval: true });`,
    'a program that it starts': `import { execFileSync } from 'node:child_process';
      const script = ${JSON.stringify(FETCH)};
      console.log(String(execFileSync(process.execPath, ['--input-type=module', '-e', script])).trim());`,
  };

  it.each(Object.entries(programs))('trusts them: %s', async (_form, program) => {
    expect(await run(program, undefined)).toMatch(/SELF_SIGNED|DEPTH_ZERO|UNABLE_TO/);
    expect(await run(program, fileOf('extra.pem', TEST_CERTIFICATE))).toBe('trusted');
  });

  it('finds the variable as it was set', async () => {
    const file = fileOf('extra.pem', TEST_CERTIFICATE);
    const program = `const { NODE_EXTRA_CA_CERTS, MANTA_EXTRA_CA_CERTS } = process.env;
      console.log(NODE_EXTRA_CA_CERTS, MANTA_EXTRA_CA_CERTS);`;
    expect(await run(program, file)).toBe(`${file} undefined`);
  });

  it('trusts whom `ca` names and nobody else', async () => {
    const program = `import { get } from 'node:https';
      get(process.env.URL, { ca: ${JSON.stringify(rootCertificates[0])} }).on('error', (e) => console.log(e.code));`;
    const file = fileOf('extra.pem', TEST_CERTIFICATE);
    expect(await run(program, file)).toMatch(/SELF_SIGNED|DEPTH_ZERO|UNABLE_TO/);
  });

  it('takes what is new in a bundle of those that Node.js knows, and makes one context for all', async () => {
    const bundle = fileOf(
      'bundle.pem',
      [...rootCertificates, `# ours\n${TEST_CERTIFICATE}`].join('\n'),
    );
    const program = `import tls from 'node:tls';
      const first = tls.createSecureContext();
      console.log(tls.createSecureContext({ host: 'a' }) === first, tls.createSecureContext({ minVersion: 'TLSv1.3' }) === first);
      ${FETCH}`;
    expect(await run(program, bundle)).toBe('true false\ntrusted');
  });

  it.each([
    ['that is not there', () => join(directory, 'none.pem')],
    ['without a certificate', () => fileOf('empty.pem', 'nothing')],
  ])('warns of a file %s and goes on', async (_what, file) => {
    const printed = await run(FETCH, file());
    expect(printed).toMatch(/SELF_SIGNED|DEPTH_ZERO|UNABLE_TO/);
    expect(printed).toContain(`Ignoring extra certs from \`${file()}\``);
  });
});
