import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '@manta/runtime/assert';
import { HeartbeatLoop } from './heartbeat-loop.ts';
import type { AgentToHeartbeat, HeartbeatConfiguration } from './heartbeat-protocol.ts';

/** Entry of the heartbeat thread (`heartbeat.ts` starts it). */
const port = parentPort;
assert(port !== null, 'heartbeat-thread is started as a worker thread');
const loop = new HeartbeatLoop(workerData as HeartbeatConfiguration, (message) =>
  port.postMessage(message),
);
port.on('message', (message: AgentToHeartbeat) => {
  loop.receive(message);
  if (message.type === 'stop') port.close();
});
await loop.run();
