import type { BrokerStats } from '@manta/runtime/broker/broker-options';
import type { Metrics } from '@manta/runtime/telemetry/metrics';

/** What each number of the broker is called in a scrape, and what it means. */
const ROWS: Record<keyof BrokerStats, readonly [name: string, help: string]> = {
  connectionsOpen: ['connections', 'Clients that are connected.'],
  pendingBytesOpen: ['pending_bytes', 'Bytes that wait for clients to read them.'],
  subscriptionsOpen: ['subscriptions', 'Subscriptions of all clients.'],
  connectionsTotal: ['connections_total', 'Connections that were made.'],
  messagesIn: ['messages_in_total', 'Messages that clients published.'],
  messagesOut: ['messages_out_total', 'Messages delivered, one per receiver.'],
  bytesIn: ['bytes_in_total', 'Bytes read from clients.'],
  bytesOut: ['bytes_out_total', 'Bytes written to clients.'],
  noResponders: ['no_responders_total', 'Requests to which nobody listened.'],
  slowConsumers: ['slow_consumers_total', 'Clients dropped because they did not read.'],
  staleConnections: ['stale_connections_total', 'Clients dropped because they were silent.'],
  authenticationFailures: ['authentication_failures_total', 'Clients refused for their token.'],
  authenticationTimeouts: ['authentication_timeouts_total', 'Clients that sent no token in time.'],
  connectionsRefused: ['connections_refused_total', 'Clients beyond the limit of connections.'],
  protocolErrors: ['protocol_errors_total', 'What clients sent that was no NATS, or too large.'],
  publisherStalls: ['publisher_stalls_total', 'Waits of publishers for receivers far behind.'],
};

/** The embedded broker's numbers beside the head's; read when they are scraped. */
export function addBrokerMetrics(metrics: Metrics, read: () => BrokerStats): void {
  const keys = Object.keys(ROWS) as (keyof BrokerStats)[];
  for (const key of keys) {
    const [name, help] = ROWS[key];
    metrics.gauge({
      name: `broker_${name}`,
      help,
      collect: (gauge) => gauge.set(read()[key]),
    });
  }
}
