import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_CERTIFICATE, TEST_KEY } from '@manta/runtime/testing/test-certificate';
import { init, shutdown } from '@manta/sdk';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { TlsClientActor } from './fixtures/tls-clients.ts';

const directory = mkdtempSync(join(tmpdir(), 'manta-certificates-'));
const file = join(directory, 'company.pem');
const server = createServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, (_request, response) =>
  response.end('trusted'),
);
let url: string;

beforeAll(async () => {
  writeFileSync(file, TEST_CERTIFICATE);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://localhost:${(server.address() as AddressInfo).port}`;
  vi.stubEnv('NODE_EXTRA_CA_CERTS', file);
  await init({ cpus: 4, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  vi.unstubAllEnvs();
  server.close();
  rmSync(directory, { recursive: true });
});

it.each(['process', 'thread', 'shared'] as const)(
  'actors trust the certificates that NODE_EXTRA_CA_CERTS names (isolation %s)',
  async (isolation) => {
    const client = TlsClientActor.options({ isolation }).create();
    expect(await client.extraCertificates()).toBe(file);
    expect(await client.ask(url)).toBe('trusted');
    expect(await client.askInWorker(url)).toBe('trusted');
  },
);

it('those that runtimeEnv names are trusted instead', async () => {
  const none = join(directory, 'none.pem');
  writeFileSync(none, '');
  const env = { NODE_EXTRA_CA_CERTS: none };
  const client = TlsClientActor.options({ runtimeEnv: { env } }).create();
  expect(await client.extraCertificates()).toBe(none);
  await expect(client.ask(url)).rejects.toThrow('fetch failed');
  const other = TlsClientActor.options({
    runtimeEnv: { env: { NODE_EXTRA_CA_CERTS: file } },
  }).create();
  expect(await other.ask(url)).toBe('trusted');
});
