import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { TEST_TLS } from '../testing/https-conformance.ts';
import { certificateFacts, readTls } from './http-tls.ts';

const pem = readFileSync(TEST_TLS.certificateFile, 'utf8');

test('reads what belongs together', () => {
  const { cert, key } = readTls(TEST_TLS);
  expect(cert).toBe(pem);
  expect(key).toContain('PRIVATE KEY');
});

test.each([
  ['a missing file', { keyFile: '/none/key.pem' }, /\/none\/key\.pem: ENOENT/],
  ['what is no key', { keyFile: TEST_TLS.certificateFile }, /HTTPS cannot be served with/],
  ['what is no certificate', { certificateFile: TEST_TLS.keyFile }, /HTTPS cannot be served with/],
])('refuses %s and names the files', (_what, other, message) => {
  expect(() => readTls({ ...TEST_TLS, ...other })).toThrow(message);
});

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['localhost', 'localhost'],
  ['10.0.0.5', 'localhost'],
])('a service at %s is asked for at %s, which its certificate is for', (host, asked) => {
  expect(certificateFacts(pem, host)).toEqual({ host: asked, isOwnAuthority: true });
});
