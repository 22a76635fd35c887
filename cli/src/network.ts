import { once } from 'node:events';
import { connect } from 'node:net';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const ANY = new Set(['0.0.0.0', '::', '']);

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host);
}

/** What others can reach this machine by when it listens on `host`: itself, or the first outer address for "any". */
export function reachableHost(host: string): string {
  if (!ANY.has(host)) return host;
  const outer = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find((address) => !address.internal && address.family === 'IPv4');
  return outer?.address ?? '127.0.0.1';
}

const CONNECT_TIMEOUT_MS = 5_000;

/** The own address that packets to this server leave from: where nodes beside that server can reach this one. */
export async function localAddressTowards(url: string): Promise<string | undefined> {
  const { hostname, port } = new URL(url.replace(/^\w+:/, 'http:'));
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isLoopback(host)) return '127.0.0.1';
  const socket = connect({ host, port: Number(port) });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
    const address = socket.localAddress?.replace(/^::ffff:/, '');
    return address !== undefined && isIP(address) ? address : undefined;
  } catch {
    // The agent connects next and says in its own words why it cannot.
    return undefined;
  } finally {
    socket.destroy();
  }
}
