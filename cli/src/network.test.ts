import type { NetworkInterfaceInfo } from 'node:os';
import { expect, it } from 'vitest';
import { reachableHost } from './network.ts';

const of = (address: string, internal = false): NetworkInterfaceInfo[] => [
  { address, internal, family: 'IPv4', netmask: '', mac: '', cidr: null },
];

it('a machine that listens on all its addresses is reached by the first one that others can use', () => {
  const interfaces = {
    lo0: of('127.0.0.1', true),
    bridge0: of('169.254.17.4'),
    en0: of('192.168.1.5'),
    en1: of('10.0.0.5'),
  };
  expect(reachableHost('0.0.0.0', interfaces)).toBe('192.168.1.5');
  expect(reachableHost('10.0.0.5', interfaces)).toBe('10.0.0.5');
  expect(reachableHost('::', { lo0: interfaces.lo0, bridge0: interfaces.bridge0 })).toBe(
    '127.0.0.1',
  );
});
