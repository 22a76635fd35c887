import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_CERTIFICATE, TEST_KEY } from '@manta/runtime/testing/test-certificate';
import { afterAll, expect, it } from 'vitest';
import { authorityFile, headTls } from './tls.ts';

const directory = mkdtempSync(join(tmpdir(), 'manta-tls-'));
afterAll(() => rmSync(directory, { recursive: true }));

function written(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

const cert = written('cert.pem', TEST_CERTIFICATE);
const key = written('key.pem', TEST_KEY);
const otherKey = written(
  'other.pem',
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString(),
);

it('takes a certificate with its key, as its own authority where it signs itself', async () => {
  expect(await headTls({ tlsCert: cert, tlsKey: key }, '127.0.0.1')).toEqual({
    tls: { cert: TEST_CERTIFICATE, key: TEST_KEY },
    tlsCaFile: cert,
  });
});

it('takes the authority that is given', async () => {
  const ca = written('ca.pem', TEST_CERTIFICATE);
  const files = { tlsCert: cert, tlsKey: key, tlsCa: ca };
  expect((await headTls(files, 'localhost')).tlsCaFile).toBe(ca);
  expect(await headTls({ tlsCa: ca }, 'localhost')).toEqual({ tlsCaFile: ca });
  expect(await headTls({}, 'localhost')).toEqual({});
});

it.each([
  ['one without the other', { tlsCert: cert }, /--tls-cert and --tls-key go together/],
  ['a missing file', { tlsCert: join(directory, 'none'), tlsKey: key }, /--tls-cert: cannot read/],
  ['what is no certificate', { tlsCert: key, tlsKey: key }, /key\.pem holds no certificate/],
  ['what is no key', { tlsCert: cert, tlsKey: cert }, /cert\.pem holds no private key/],
  ['the key of another one', { tlsCert: cert, tlsKey: otherKey }, /other\.pem is not that of/],
  ['an authority that is none', { tlsCa: key }, /key\.pem holds no certificate/],
])('refuses %s', async (_what, files, message) => {
  await expect(headTls(files, 'localhost')).rejects.toMatchObject({
    name: 'InvalidArgumentError',
    message: expect.stringMatching(message),
  });
});

it('refuses a certificate for others than who will be asked for it, and says for whom it is', async () => {
  const refusal = headTls({ tlsCert: cert, tlsKey: key }, '10.0.0.5');
  await expect(refusal).rejects.toThrow(/is for DNS:localhost, IP Address:127.0.0.1.* by 10.0.0.5/);
});

it('names an authority by its absolute path', async () => {
  expect(await authorityFile(cert)).toBe(cert);
});
