import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

let cached: string | undefined;

/**
 * Equal for two processes that can open each other's Unix sockets: same kernel boot, same host name. Containers on
 * one machine differ by host name; where they do not, MANTA_MACHINE_ID tells them apart.
 */
export function machineId(): string {
  if (cached === undefined) {
    let bootId = 'no-boot-id';
    try {
      bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    } catch {
      // Not Linux: the host name alone has to do.
    }
    cached = `${process.env['MANTA_MACHINE_ID'] ?? hostname()}/${bootId}`;
  }
  return cached;
}
