import { createMetrics, type Metrics } from '@manta/runtime/telemetry/metrics';
import type { Cluster } from '../tables/cluster.ts';
import type { HeadServer } from './head-server.ts';

/** The head's metrics for Prometheus. Everything is read from the head when it is scraped, so a scrape is all it costs. */
export function createHeadMetrics(head: HeadServer): Metrics {
  const metrics = createMetrics('manta_head', { processMetrics: true });
  const { counters, cluster } = head;
  const total = (name: string, help: string, read: () => number) =>
    metrics.gauge({ name, help, collect: (gauge) => gauge.set(read()) });
  metrics.gauge({
    name: 'requests_total',
    help: 'Requests handled, by operation.',
    labels: ['operation'],
    collect: (gauge) => {
      for (const [operation, count] of counters.requests) gauge.set({ operation }, count);
    },
  });
  total('invalid_messages_total', 'Messages refused as malformed.', () => counters.invalidMessages);
  total('heartbeats_total', 'Heartbeats received.', () => counters.heartbeats);
  total('turns_total', 'Turns of the event loop with work.', () => counters.turns);
  total('commits_total', 'Commits to the state store.', () => counters.commits);
  total('waiting_actors', 'Actors that wait for a place.', () =>
    [...cluster.actors.queues.values()].reduce((sum, { actorIds }) => sum + actorIds.size, 0),
  );
  total(
    'task_workers',
    'Leases of workers for tasks, also those that wait.',
    () => cluster.actors.leases().size,
  );
  countByState(
    metrics,
    'nodes',
    'Nodes by state.',
    () => cluster.nodes.all(),
    ({ state }) => state,
  );
  countByState(
    metrics,
    'actors',
    'Actors by state.',
    () => cluster.actors.actors(),
    ({ record }) => record.state,
  );
  addNodeMetrics(metrics, cluster);
  return metrics;
}

/** What the nodes tell with their heartbeats. */
function addNodeMetrics(metrics: Metrics, { nodes }: Cluster): void {
  metrics.gauge({
    name: 'object_store_bytes',
    help: 'Object stores of the nodes: limit, used in memory, on disk now, and written to and read from disk so far.',
    labels: ['node', 'kind'],
    collect: (gauge) => {
      gauge.reset();
      for (const { nodeId, objectStore } of nodes.living()) {
        if (objectStore === undefined) continue;
        const { limitBytes, usedBytes, diskBytes, spilledBytes, restoredBytes } = objectStore;
        const kinds = { limit: limitBytes, used: usedBytes, disk: diskBytes };
        const all = { ...kinds, spilled: spilledBytes, restored: restoredBytes };
        for (const [kind, bytes] of Object.entries(all)) gauge.set({ node: nodeId, kind }, bytes);
      }
    },
  });
  metrics.gauge({
    name: 'object_store_evictions_total',
    help: 'Objects that left the memory of a node for its disk.',
    labels: ['node'],
    collect: (gauge) => {
      gauge.reset();
      for (const { nodeId, objectStore } of nodes.living())
        if (objectStore !== undefined) gauge.set({ node: nodeId }, objectStore.evictions);
    },
  });
  metrics.gauge({
    name: 'refused_channels_total',
    help: 'Channels to processes of the node that were refused: bad tokens, malformed or oversized frames.',
    labels: ['node'],
    collect: (gauge) => {
      gauge.reset();
      for (const { nodeId, refusedChannels } of nodes.living())
        gauge.set({ node: nodeId }, refusedChannels);
    },
  });
}

function countByState<T>(
  metrics: Metrics,
  name: string,
  help: string,
  items: () => Iterable<T>,
  stateOf: (item: T) => string,
): void {
  metrics.gauge({
    name,
    help,
    labels: ['state'],
    collect: (gauge) => {
      gauge.reset();
      for (const item of items()) gauge.inc({ state: stateOf(item) });
    },
  });
}
