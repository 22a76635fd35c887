import { describeTransportConformance } from '../testing/conformance/transport-conformance.ts';
import { startEmbeddedServer } from '../testing/embedded-server.ts';
import { startNatsBus } from '../testing/nats-bus.ts';
import { MemoryBus } from './memory-bus.ts';

describeTransportConformance('embedded broker', (options) =>
  startNatsBus(startEmbeddedServer, options),
);

describeTransportConformance('memory', async (options) => {
  const bus = new MemoryBus(options);
  return {
    ...options,
    connect: async (name) => bus.connect({ name }),
    interrupt: async () => bus.disconnect(),
    restore: async () => bus.restore(),
    close: async () => bus.disconnect(),
  };
});
