import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { assert } from '@manta/runtime/assert';
import { createIdMint } from '@manta/runtime/ids';
import type { ActorSpec, NodeEvent } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '@manta/runtime/seeded-random';
import { createActor } from './actors.ts';
import { Cluster, DEFAULT_CLUSTER_SETTINGS } from './cluster.ts';
import { runDeadlines } from './deadlines.ts';
import { returnLease } from './leases.ts';
import { registerNode, reportEvents } from './nodes.ts';
import { settleCluster } from './scheduling.ts';

const random = new SeededRandom(1);
const mint = createIdMint((target) => random.fill(target));
const nodeId = mint('node');
const sessionId = 'session';
const ownerId = mint('process');
const jobId = mint('job');
const address = { processId: mint('process'), nodeId, machineId: 'machine' };
const IN_FLIGHT = 20;

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

function makeCluster(): Cluster {
  const cluster = new Cluster(DEFAULT_CLUSTER_SETTINGS);
  const registration = {
    nodeId,
    sessionId,
    name: 'node',
    pid: 1,
    hostname: 'host',
    machineId: 'machine',
    capacity: { cpus: 4, memoryBytes: 2 ** 30, resources: {}, gpus: [] },
    labels: {},
    address,
    actors: [],
    drivers: [ownerId],
  };
  registerNode(cluster, registration, 0);
  return cluster;
}

function leaseSpec(): ActorSpec {
  return {
    actorId: mint('actor'),
    kind: 'task-worker',
    jobId,
    ownerId,
    className: 'task',
    classReference: { moduleUrl: 'manta:task-worker', exportKey: 'TaskWorker' },
    methods: [],
    encodedArgs: Uint8Array.of(),
    namespace: 'default',
    lifetime: 'job',
    isolation: 'process',
    maxRestarts: 0,
    maxTaskRetries: 0,
    maxConcurrency: 1,
    gracefulShutdownMs: 0,
    demand: { resources: { cpus: 1 } },
  };
}

/** A node that does at once what it is told. */
class ObedientNode {
  readonly #cluster: Cluster;
  #sequence = 1;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  turn(now: number): void {
    runDeadlines(this.#cluster, now);
    settleCluster(this.#cluster, now);
    const commands = this.#cluster.takeEffects().commands.get(nodeId) ?? [];
    const events = commands.flatMap((command): NodeEvent[] => {
      if (command.type === 'end-job') return [];
      const { incarnation } = command;
      if (command.type === 'end-actor') {
        const { actorId, cause } = command;
        return [{ type: 'actor-ended', actorId, incarnation, cause }];
      }
      const { actorId } = command.spec;
      return [{ type: 'actor-started', actor: { actorId, incarnation, address, pid: 2 } }];
    });
    const firstSequence = this.#sequence;
    this.#sequence += events.length;
    reportEvents(this.#cluster, { nodeId, sessionId, firstSequence, events }, now);
  }
}

/** Some wait while others run; the oldest is given back first, or withdrawn. */
function takeAndReturn(cluster: Cluster, node: ObedientNode, leases: number, startMs: number) {
  const taken: ActorSpec[] = [];
  for (let count = 0; count < leases + IN_FLIGHT; count++) {
    const now = startMs + count;
    const spec = leaseSpec();
    if (count < leases) {
      taken.push(spec);
      assert(createActor(cluster, spec, now).outcome === 'created', 'a lease is never refused');
    }
    const oldest = count < IN_FLIGHT ? undefined : taken.shift();
    const entry = oldest && cluster.actors.get(oldest.actorId);
    if (entry !== undefined) returnLease(cluster, entry, now);
    node.turn(now);
  }
  // What is due later than everything above.
  node.turn(startMs + leases + 60_000);
  node.turn(startMs + leases + 60_000);
}

describe('a hundred thousand leases', () => {
  it('leave nothing in the tables of the head', () => {
    const cluster = makeCluster();
    const node = new ObedientNode(cluster);
    takeAndReturn(cluster, node, 10_000, 0);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    takeAndReturn(cluster, node, 100_000, 1_000_000);
    collectGarbage();
    const grownBytes = process.memoryUsage().heapUsed - before;
    expect(cluster.actors.size).toBe(0);
    expect(cluster.actors.leases().size).toBe(0);
    expect(cluster.actors.queues.size).toBe(0);
    expect(cluster.deadlines.size).toBe(0);
    expect(cluster.processes.get(ownerId)).toMatchObject({ held: new Set(), owned: new Set() });
    expect(cluster.nodes.get(nodeId)?.reservations.size).toBe(0);
    expect(cluster.nodes.get(nodeId)?.resources.free.cpus).toBe(40_000);
    expect(grownBytes).toBeLessThan(2_000_000);
  });
});
