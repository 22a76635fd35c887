import { networkInterfaces } from 'node:os';

const ANY = new Set(['0.0.0.0', '::', '']);

export function isAnyHost(host: string): boolean {
  return ANY.has(host);
}

/** What others can reach this machine by when it listens on `host`: itself, or the first outer address for "any". */
export function reachableHost(host: string): string {
  if (!isAnyHost(host)) return host;
  const outer = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find((address) => !address.internal && address.family === 'IPv4');
  return outer?.address ?? '127.0.0.1';
}
