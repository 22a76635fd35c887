import type { HeadServer } from './head-server.ts';

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** The head's state in Prometheus' text format; gauges are counted when asked for. */
export function renderMetrics(head: HeadServer): string {
  const { counters, cluster } = head;
  const requests = [...counters.requests].map(([operation, count]): Sample => [
    { operation },
    count,
  ]);
  return [
    metric('manta_head_requests_total', 'counter', 'Requests handled, by operation.', requests),
    metric('manta_head_invalid_messages_total', 'counter', 'Messages refused as malformed.', [
      [{}, counters.invalidMessages],
    ]),
    metric('manta_head_heartbeats_total', 'counter', 'Heartbeats received.', [
      [{}, counters.heartbeats],
    ]),
    metric('manta_head_turns_total', 'counter', 'Turns of the event loop with work.', [
      [{}, counters.turns],
    ]),
    metric('manta_head_commits_total', 'counter', 'Commits to the state store.', [
      [{}, counters.commits],
    ]),
    metric(
      'manta_head_nodes',
      'gauge',
      'Nodes by state.',
      countBy(cluster.nodes.all(), (node) => node.state),
    ),
    metric(
      'manta_head_actors',
      'gauge',
      'Actors by state.',
      countBy(cluster.actors.all(), ({ record }) => record.state),
    ),
    metric('manta_head_waiting_actors', 'gauge', 'Actors that wait for a place.', [
      [
        {},
        [...cluster.actors.queues.values()].reduce((sum, { actorIds }) => sum + actorIds.size, 0),
      ],
    ]),
    '',
  ].join('\n');
}

function countBy<T>(items: Iterable<T>, stateOf: (item: T) => string): Sample[] {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(stateOf(item), (counts.get(stateOf(item)) ?? 0) + 1);
  return [...counts].map(([state, count]) => [{ state }, count]);
}

function metric(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly Sample[],
): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  for (const [labels, value] of samples) {
    const text = Object.entries(labels).map(([key, label]) => `${key}="${label}"`);
    lines.push(`${name}${text.length === 0 ? '' : `{${text.join(',')}}`} ${value}`);
  }
  return lines.join('\n');
}
