import { describeBrokerConformance } from '../testing/conformance/broker-conformance.ts';
import { natsServerPrograms, startNatsServer } from '../testing/nats-server.ts';

// Throws, and so fails, when no server is installed; the message says how to install them.
for (const program of natsServerPrograms()) {
  describeBrokerConformance(program, (options) => startNatsServer({ ...options, program }));
}
