import { connectNats } from '../transport/nats-transport.ts';
import type { BusUnderTest } from './conformance/transport-conformance.ts';
import type { StartTestServer } from './server-under-test.ts';

/** A NATS server, embedded or real, as a bus for the transport suite. */
export async function startNatsBus(
  start: StartTestServer,
  options: { maxPayloadBytes: number },
): Promise<BusUnderTest> {
  const token = 'bus-token';
  let server = await start({ ...options, token });
  const { port, url } = server;
  return {
    ...options,
    connect: (name) => connectNats({ servers: [url], token, name }),
    interrupt: () => server.stop(),
    async restore() {
      server = await start({ ...options, token, port });
    },
    close: () => server.stop(),
  };
}
