import { MantaError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';

const RETRY_DELAY_MS = 50;
const RETRY_DELAY_MAX_MS = 500;
/** As long as a request to the head may take. */
const PATIENCE_MS = 60_000;

/**
 * A process's first connection to the message bus, tried again while there is none: a head that is started anew may bring
 * the broker along. The connection restores itself afterwards.
 * @throws AuthenticationError and the like at once; ClusterUnavailableError after a minute, or when `isOver`.
 */
export async function firstConnection(
  { connectTransport, clock }: { connectTransport: () => Promise<Transport>; clock: Clock },
  isOver: () => boolean,
): Promise<Transport> {
  const deadline = clock.now() + PATIENCE_MS;
  for (let delayMs = RETRY_DELAY_MS; ; delayMs = Math.min(2 * delayMs, RETRY_DELAY_MAX_MS)) {
    try {
      return await connectTransport();
    } catch (error) {
      const mayCome = MantaError.is(error, 'ClusterUnavailableError') && !isOver();
      if (!mayCome || clock.now() + delayMs >= deadline) throw error;
    }
    await new Promise<void>((resolve) => clock.after(delayMs, resolve, { unref: true }));
  }
}
