import { natsServerPrograms, startNatsServer } from '../testing/nats-server.ts';
import { startNatsBus } from '../testing/nats-bus.ts';
import { describeTransportConformance } from '../testing/conformance/transport-conformance.ts';

// Throws, and so fails, when no server is installed; the message says how to install them.
for (const program of natsServerPrograms()) {
  describeTransportConformance(program, (options) =>
    startNatsBus((settings) => startNatsServer({ ...settings, program }), options),
  );
}
