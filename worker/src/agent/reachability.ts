import { connect } from 'node:net';
import { parseAddress } from '@manta/runtime/session/address';
import type { Reach } from './fencing.ts';

export interface BrokerEndpoint {
  host: string;
  port: number;
}

/**
 * The hosts and ports of `nats://host:port[,…]`.
 * @throws InvalidArgumentError when an entry is no address.
 */
export function brokerEndpoints(natsUrl: string): BrokerEndpoint[] {
  return natsUrl.split(',').map((address) => {
    const { url } = parseAddress(address.trim());
    const authority = url.slice(url.indexOf('//') + 2);
    const colon = authority.lastIndexOf(':');
    // An IPv6 host is in brackets in a URL, and nowhere else.
    const host = authority.slice(0, colon).replace(/^\[|\]$/g, '');
    return { host, port: Number(authority.slice(colon + 1)) };
  });
}

/** True when every broker runs on this machine: nothing can come between it and this node. */
export function isLocal(endpoints: readonly BrokerEndpoint[]): boolean {
  return endpoints.every(
    ({ host }) => host === 'localhost' || host === '::1' || host.startsWith('127.'),
  );
}

/** Asks for a TCP connection and waits for the broker's greeting; never throws, ends within `timeoutMs`. */
export function probe(endpoint: BrokerEndpoint, timeoutMs: number): Promise<Reach> {
  return new Promise((resolve) => {
    const socket = connect(endpoint);
    let connected = false;
    const finish = (reach: Reach): void => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(reach);
    };
    const deadline = setTimeout(() => finish(connected ? 'silent' : 'unreachable'), timeoutMs);
    socket.on('connect', () => {
      connected = true;
    });
    socket.on('data', () => finish('greeted'));
    // Closed without a word: a proxy whose backend is gone, or a process that is just ending.
    socket.on('end', () => finish('silent'));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish(
        error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET' ? 'refused' : 'unreachable',
      ),
    );
  });
}
