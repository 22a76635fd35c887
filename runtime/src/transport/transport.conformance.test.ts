import { startBroker } from '../broker/broker.ts';
import { describeTransportConformance } from '../testing/conformance/transport-conformance.ts';
import { startEmbeddedServer } from '../testing/embedded-server.ts';
import { startNatsBus } from '../testing/nats-bus.ts';
import { MemoryBus } from './memory-bus.ts';

describeTransportConformance('embedded broker', (options) =>
  startNatsBus(startEmbeddedServer, options),
);

describeTransportConformance('embedded broker, in its own process', async (options) => {
  let isRefusing = false;
  const onConnect = () => (isRefusing ? 'refuse' : 'accept');
  const broker = await startBroker({ ...options, faults: { onConnect } });
  return {
    ...options,
    connect: async (name) => broker.connectLocally(name),
    interrupt: async () => {
      isRefusing = true;
      broker.disconnect(() => true);
    },
    restore: async () => {
      isRefusing = false;
    },
    close: () => broker.close(),
  };
});

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
