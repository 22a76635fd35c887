/** One Moleculer node in a process of its own; what it serves follows from its place in the list of nodes. */
import { ServiceBroker } from 'moleculer';

/**
 * `addresses`: `tcp://127.0.0.1:PORT/NODE` of all nodes. The TCP transporter (Moleculer's fastest between processes),
 * nothing switched on that costs a call anything: no metrics, tracing, validation, balancing over nodes or logging.
 */
export function createBroker(nodeID, addresses) {
  return new ServiceBroker({
    nodeID,
    logger: false,
    transporter: { type: 'TCP', options: { udpDiscovery: false, urls: addresses } },
    validator: false,
    metrics: false,
    tracing: false,
    hotReload: false,
    internalServices: false,
    requestTimeout: 0,
  });
}

const serverActions = {
  smallValue: () => 'ok',
  smallValueArg: () => 'ok',
  smallValueAsync: async () => 'ok',
  smallValueArgAsync: async () => 'ok',
};

/** `ref` has no meaning here: the argument goes by value. */
const clientActions = {
  async callEach({ params: { servers, action, count, argument }, broker }) {
    const results = [];
    for (const server of servers) {
      for (let index = 0; index < count; index++) {
        results.push(
          broker.call(`${server}.${action}`, argument === undefined ? undefined : { argument }),
        );
      }
    }
    await Promise.all(results);
  },
  async callRoundRobin({ params: { servers, action, count }, broker }) {
    const results = [];
    for (let index = 0; index < count; index++) {
      results.push(broker.call(`${servers[index % servers.length]}.${action}`));
    }
    await Promise.all(results);
  },
};

const [nodeID, addresses] = process.argv.slice(2);
if (process.send !== undefined) {
  const broker = createBroker(nodeID, JSON.parse(addresses));
  const actions = nodeID.startsWith('server') ? serverActions : clientActions;
  // Names of services are those of their nodes, so that a call says which process it goes to.
  broker.createService({ name: nodeID, actions });
  await broker.start();
  process.on('disconnect', () => void broker.stop().finally(() => process.exit(0)));
  process.send('ready');
}
