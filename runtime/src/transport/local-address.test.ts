import { createServer, type AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { isLoopback, localAddressTowards } from './local-address.ts';

it.each([
  ['localhost', true],
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['127.evil.example', false],
  ['10.0.0.1', false],
  ['0.0.0.0', false],
])('tells whether only this machine reaches %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

it('names the loopback for a server on it without asking', async () => {
  expect(await localAddressTowards('nats://localhost:1')).toBe('127.0.0.1');
  expect(await localAddressTowards('nats://[::1]:1')).toBe('127.0.0.1');
});

it('names the address from which packets reach a server, and none when it does not answer', async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const { port } = server.address() as AddressInfo;
  // Linux sends what goes to 0.0.0.0 to itself, and the name is none of the loopback's.
  expect(await localAddressTowards(`nats://0.0.0.0:${port}`)).toBe('127.0.0.1');
  await new Promise((resolve) => server.close(resolve));
  expect(await localAddressTowards(`nats://0.0.0.0:${port}`)).toBeUndefined();
});
