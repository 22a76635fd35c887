import { networkInterfaces } from 'node:os';

const ANY = new Set(['0.0.0.0', '::', '']);
/** Addresses that an interface gives itself when nobody else gives it one: good for its own link at most. */
const LINK_LOCAL = '169.254.';

export function isAnyHost(host: string): boolean {
  return ANY.has(host);
}

/** What others can reach this machine by when it listens on `host`: itself, or the first outer address for "any". */
export function reachableHost(host: string, interfaces = networkInterfaces()): string {
  if (!isAnyHost(host)) return host;
  const outer = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find(
      ({ address, family, internal }) =>
        !internal && family === 'IPv4' && !address.startsWith(LINK_LOCAL),
    );
  return outer?.address ?? '127.0.0.1';
}

/** Host and port; URL gives schemes it does not know no host rules of their own. */
export const urlParts = (url: string): URL => new URL(url.replace(/^\w+:/, 'http:'));
