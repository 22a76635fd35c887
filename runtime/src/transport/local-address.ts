import { once } from 'node:events';
import { connect, isIP } from 'node:net';

const CONNECT_TIMEOUT_MS = 5_000;

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/**
 * The own address that packets to this server leave from: where processes beside that server can reach this one.
 * Undefined when the server does not answer.
 */
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
    // Whoever connects next says in its own words why it cannot.
    return undefined;
  } finally {
    socket.destroy();
  }
}
