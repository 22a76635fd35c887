import type { Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';
import { REQUEST_TIMEOUT_MS } from './head-client.ts';
import { whileUnavailable } from './while-unavailable.ts';

/**
 * A process's first connection to the message bus, waited for as long as a request to the head may take. It restores itself
 * afterwards.
 * @throws AuthenticationError and the like at once; ClusterUnavailableError after a minute, or when `isOver`.
 */
export function firstConnection(
  { connectTransport, clock }: { connectTransport: () => Promise<Transport>; clock: Clock },
  isOver: () => boolean,
): Promise<Transport> {
  return whileUnavailable(connectTransport, { clock, timeoutMs: REQUEST_TIMEOUT_MS, isOver });
}
