import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerCertificate } from 'node:tls';
import { afterAll, expect, it } from 'vitest';
import { writeSession } from '../session/session-file.ts';
import { TEST_CERTIFICATE } from '../testing/test-certificate.ts';
import { busTls, TLS_CA_VARIABLE } from './bus-tls.ts';

const home = mkdtempSync(join(tmpdir(), 'manta-bus-tls-'));
afterAll(() => rmSync(home, { recursive: true }));
const caFile = join(home, 'ca.pem');
writeFileSync(caFile, TEST_CERTIFICATE);

const certificateFor = (subjectaltname: string): PeerCertificate =>
  ({ subject: { CN: 'bus' }, subjectaltname }) as PeerCertificate;

it('says nothing of servers without TLS', async () => {
  const environment = { [TLS_CA_VARIABLE]: join(home, 'none'), MANTA_HOME: home };
  expect(await busTls(['nats://10.0.0.5:4222', '10.0.0.6'], environment)).toBeUndefined();
});

it('trusts the authority that the environment names', async () => {
  const environment = { [TLS_CA_VARIABLE]: caFile, MANTA_HOME: home };
  expect((await busTls(['tls://10.0.0.5:4222'], environment))?.ca).toBe(TEST_CERTIFICATE);
});

it('trusts the authority of the session for its address alone', async () => {
  const address = 'tls://10.0.0.5:4222';
  const session = { address, token: 'secret', tlsCaFile: caFile, pids: { nodes: [] } };
  await writeSession({ ...session, startedAt: 0 }, home);
  expect((await busTls([address], { MANTA_HOME: home }))?.ca).toBe(TEST_CERTIFICATE);
  const other = await busTls(['tls://10.0.0.6:4222'], { MANTA_HOME: home });
  expect(other).toBeDefined();
  expect(other?.ca).toBeUndefined();
});

it('says which authority cannot be read', async () => {
  const environment = { [TLS_CA_VARIABLE]: join(home, 'none'), MANTA_HOME: home };
  await expect(busTls(['tls://localhost'], environment)).rejects.toMatchObject({
    name: 'InvalidArgumentError',
    message: expect.stringContaining(join(home, 'none')),
  });
});

it.each([
  ['tls://10.0.0.5:4222', 'IP Address:10.0.0.5', true],
  ['tls://10.0.0.5:4222', 'DNS:localhost', false],
  ['tls://[2001:db8::5]:4222', 'IP Address:2001:DB8:0:0:0:0:0:5', true],
  ['tls://bus.team.example', 'DNS:*.team.example', true],
  ['tls://bus.example', 'DNS:bus.elsewhere', false],
])('for %s takes a certificate for %s: %s', async (server, names, isTaken) => {
  const tls = await busTls([server], { MANTA_HOME: home });
  const refusal = tls?.checkServerIdentity('localhost', certificateFor(names));
  expect(refusal === undefined).toBe(isTaken);
});
