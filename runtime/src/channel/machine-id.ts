import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

const SYSCTL_TIMEOUT_MS = 2_000;

let cached: string | undefined;

/**
 * Equal for two processes that can open each other's Unix sockets: same kernel boot, same host name. Containers on
 * one machine differ by host name; where they do not, MANTA_MACHINE_ID tells them apart.
 */
export function machineId(): string {
  cached ??= machineIdOf(process.platform, bootIdOf);
  return cached;
}

/** @param bootId throws where the system does not tell. */
export function machineIdOf(
  platform: NodeJS.Platform,
  bootId: (platform: NodeJS.Platform) => string,
): string {
  const name = process.env['MANTA_MACHINE_ID'];
  try {
    const boot = bootId(platform);
    // The host name of macOS changes with the network; it has no containers that share a boot.
    return `${name ?? (platform === 'darwin' ? 'macos' : hostname())}/${boot}`;
  } catch {
    // The host name alone has to do.
    return `${name ?? hostname()}/no-boot-id`;
  }
}

function bootIdOf(platform: NodeJS.Platform): string {
  if (platform !== 'darwin') return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: SYSCTL_TIMEOUT_MS,
  }).trim();
}
