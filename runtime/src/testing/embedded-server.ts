import { startBroker } from '../broker/broker.ts';
import type { BrokerLimits } from '../broker/broker-options.ts';
import type { TestServer, TestServerOptions } from './server-under-test.ts';

/** The embedded broker in this process, as a server under test. */
export async function startEmbeddedServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { token, port, ...limits } = options;
  const broker = await startBroker({
    port: port ?? 0,
    ...(token === undefined ? {} : { token }),
    limits: limits satisfies Partial<BrokerLimits>,
  });
  return {
    host: broker.host,
    port: broker.port,
    url: broker.url,
    stop: () => broker.close(),
  };
}
