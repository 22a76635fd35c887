import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_CERTIFICATE } from '@manta/runtime/testing/test-certificate';
import { startTlsServer, type TlsServer } from '@manta/runtime/testing/tls-server';
import { init, shutdown } from '@manta/sdk';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { TlsClientActor } from './fixtures/tls-clients.ts';

const directory = mkdtempSync(join(tmpdir(), 'manta-certificates-'));
const file = join(directory, 'company.pem');
let server: TlsServer;

beforeAll(async () => {
  writeFileSync(file, TEST_CERTIFICATE);
  server = await startTlsServer();
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
    expect(await client.ask(server.url)).toBe('trusted');
    expect(await client.askInWorker(server.url)).toBe('trusted');
  },
);

it('those that runtimeEnv names are trusted instead', async () => {
  const none = join(directory, 'none.pem');
  writeFileSync(none, '');
  const env = { NODE_EXTRA_CA_CERTS: none };
  const client = TlsClientActor.options({ runtimeEnv: { env } }).create();
  expect(await client.extraCertificates()).toBe(none);
  await expect(client.ask(server.url)).rejects.toThrow('fetch failed');
  const other = TlsClientActor.options({
    runtimeEnv: { env: { NODE_EXTRA_CA_CERTS: file } },
  }).create();
  expect(await other.ask(server.url)).toBe('trusted');
});
