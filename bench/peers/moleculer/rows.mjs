/**
 * The core suite's workloads on Moleculer; prints one line of JSON to standard output.
 *
 *     node rows.mjs [--quick] [--settle SECONDS] [--rows NAME,NAME]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ServiceBroker } from 'moleculer';
import { readOptions, timeRow } from '../timing.mjs';
import { createBroker } from './node.mjs';

const batchCalls = 1000;
const clientCalls = 5000;
const clientCount = 4;
const serverCount = Math.max(1, Math.floor(cpus().length / 2));

const { wanted, timing } = readOptions();

const names = (prefix, count) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const servers = names('server', serverCount);
const clients = names('client', Math.max(clientCount, serverCount));

const all = (count, call) => Promise.all(Array.from({ length: count }, (_, index) => call(index)));

/** Each row: how many calls one iteration makes, and the iteration. */
const rowsOf = (broker) => {
  const callEach = (client, targets, action, count, argument) =>
    broker.call(`${client}.callEach`, { servers: targets, action, count, argument });
  const oneToMany = (action) => [
    clientCalls * serverCount,
    () => callEach('client0', servers, action, clientCalls),
  ];
  const manyToMany = (action) => [
    clientCalls * clientCount,
    () =>
      all(clientCount, (index) =>
        broker.call(`client${index}.callRoundRobin`, { servers, action, count: clientCalls }),
      ),
  ];
  const sync = (action) => [1, () => broker.call(`server0.${action}`)];
  const batch = (action) => [
    batchCalls,
    () => all(batchCalls, () => broker.call(`server0.${action}`)),
  ];
  return {
    '1_1_actor_calls_sync': sync('smallValue'),
    '1_1_actor_calls_async': batch('smallValue'),
    '1_1_actor_calls_concurrent': batch('smallValue'),
    '1_n_actor_calls_async': oneToMany('smallValue'),
    n_n_actor_calls_async: manyToMany('smallValue'),
    n_n_actor_calls_with_arg_async: [
      batchCalls * serverCount,
      () =>
        all(serverCount, (index) =>
          callEach(`client${index}`, [`server${index}`], 'smallValueArg', batchCalls, 0),
        ),
    ],
    '1_1_async_actor_calls_sync': sync('smallValueAsync'),
    '1_1_async_actor_calls_async': batch('smallValueAsync'),
    '1_1_async_actor_calls_with_args_async': [
      batchCalls,
      () => all(batchCalls, (index) => broker.call('server0.smallValueArgAsync', { index })),
    ],
    '1_n_async_actor_calls_async': oneToMany('smallValueAsync'),
    n_n_async_actor_calls_async: manyToMany('smallValueAsync'),
  };
};

async function freePorts(count) {
  const listeners = await Promise.all(
    Array.from({ length: count }, async () => {
      const listener = createServer().listen(0, '127.0.0.1');
      await once(listener, 'listening');
      return listener;
    }),
  );
  const ports = listeners.map((listener) => listener.address().port);
  await Promise.all(listeners.map((listener) => once(listener.close(), 'close')));
  return ports;
}

async function startNode(nodeID, addresses) {
  const path = fileURLToPath(new URL('./node.mjs', import.meta.url));
  const child = fork(path, [nodeID, JSON.stringify(addresses)], { stdio: ['ignore', 2, 2, 'ipc'] });
  await once(child, 'message');
  return child;
}

const nodeIDs = ['driver', ...servers, ...clients];
const ports = await freePorts(nodeIDs.length);
const addresses = nodeIDs.map((nodeID, index) => `tcp://127.0.0.1:${ports[index]}/${nodeID}`);
const children = await Promise.all(nodeIDs.slice(1).map((nodeID) => startNode(nodeID, addresses)));
const broker = createBroker('driver', addresses);
await broker.start();
await broker.waitForServices([...servers, ...clients]);
// The clients have to know the servers too: a call of theirs fails until gossip has reached them.
for (const client of clients) {
  for (;;) {
    try {
      await broker.call(`${client}.callEach`, { servers, action: 'smallValue', count: 1 });
      break;
    } catch (error) {
      if (error.name !== 'ServiceNotFoundError' && error.name !== 'ServiceNotAvailableError')
        throw error;
      await delay(100);
    }
  }
}
const rows = {};
for (const [name, [multiplier, run]] of Object.entries(rowsOf(broker))) {
  if (wanted !== undefined && !wanted.includes(name)) continue;
  rows[name] = { ...(await timeRow(multiplier, run, timing)), unit: 'call/s' };
  const { value, sd, unit } = rows[name];
  console.error(`moleculer ${name}: ${value.toPrecision(4)} ± ${sd.toPrecision(2)} ${unit}`);
}
await broker.stop();
for (const child of children) child.disconnect();
console.log(JSON.stringify({ version: ServiceBroker.MOLECULER_VERSION, rows }));
