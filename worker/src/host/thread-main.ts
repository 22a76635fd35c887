import { parentPort, workerData } from 'node:worker_threads';
import type { AgentToHost, HostConfiguration } from './host-protocol.ts';
import { HostRuntime } from './host-runtime.ts';

/** Entry of the worker thread that houses one actor of isolation 'thread'. */
const runtime = new HostRuntime(workerData as HostConfiguration, (message) =>
  parentPort?.postMessage(message),
);

parentPort?.on('message', (message: AgentToHost) => {
  if (message.type === 'start') for (const actor of message.actors) void runtime.start(actor);
  else if (message.type === 'end')
    runtime.end(message.actorId, message.incarnation, message.how, message.cause);
  else if (message.type === 'partition') runtime.partition(message.on);
});
await runtime.listen();
runtime.announce();
