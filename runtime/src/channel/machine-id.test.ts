import { hostname } from 'node:os';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { machineId, machineIdOf } from './machine-id.ts';

beforeEach(() => vi.stubEnv('MANTA_MACHINE_ID', undefined));
afterEach(() => vi.unstubAllEnvs());

const told = (): string => 'boot';
function notTold(): string {
  throw new Error('not told here');
}

it.each([
  ['linux', told, `${hostname()}/boot`],
  ['darwin', told, 'macos/boot'],
  ['linux', notTold, `${hostname()}/no-boot-id`],
  ['darwin', notTold, `${hostname()}/no-boot-id`],
] as const)('a machine on %s is told apart by its boot (%#)', (platform, bootId, expected) => {
  expect(machineIdOf(platform, bootId)).toBe(expected);
});

it.each(['linux', 'darwin'] as const)('MANTA_MACHINE_ID names it (%s)', (platform) => {
  vi.stubEnv('MANTA_MACHINE_ID', 'mine');
  expect(machineIdOf(platform, told)).toBe('mine/boot');
  expect(machineIdOf(platform, notTold)).toBe('mine/no-boot-id');
});

it.runIf(process.platform === 'linux' || process.platform === 'darwin')(
  'the boot is known here',
  () => expect(machineId()).not.toMatch(/no-boot-id/),
);
