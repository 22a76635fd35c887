import { parseId, type JobId, type NodeId, type ProcessId } from '../ids.ts';

/** Where heads answer `{clusterId, epoch}` to whoever knows only address and token. */
export const DISCOVER_SUBJECT = 'manta.discover';

/** Requests that the head answers; the payloads are in `messages.ts` under the same names. */
export const HEAD_OPERATIONS = [
  'node.register',
  'node.report',
  'node.deregister',
  'node.drain',
  'job.start',
  'job.end',
  'job.progress',
  'actor.create',
  'actor.arguments',
  'actor.hold',
  'actor.release',
  'actor.lookup',
  'actor.kill',
  'actor.stop',
  'actor.explain',
  'state.nodes',
  'state.actors',
  'state.jobs',
  'state.resources',
  'state.tasks',
] as const;
export type HeadOperation = (typeof HEAD_OPERATIONS)[number];

/** Requests that a node's agent answers. */
export const NODE_OPERATIONS = ['commands', 'ping', 'logs', 'job-logs', 'objects'] as const;
export type NodeOperation = (typeof NODE_OPERATIONS)[number];

const HEARTBEAT_CLIENT = 'heartbeat ';

/** What a node calls the connection of its heartbeats: its end may be the node's. */
export function heartbeatClientName(nodeId: NodeId): string {
  return `${HEARTBEAT_CLIENT}${nodeId}`;
}

/** The node that a client of the bus beats for; undefined: it is another client. */
export function nodeOfClient(clientName: string): NodeId | undefined {
  if (!clientName.startsWith(HEARTBEAT_CLIENT)) return undefined;
  return parseId('node', clientName.slice(HEARTBEAT_CLIENT.length));
}

/** The subject grammar of one cluster (docs/protocol.md). */
export interface Subjects {
  head(operation: HeadOperation): string;
  /** Heartbeats are published here without a reply. */
  readonly heartbeat: string;
  readonly allHeadRequests: string;
  node(nodeId: NodeId, operation: NodeOperation): string;
  allOfNode(nodeId: NodeId): string;
  /** The head tells a process about the actors it holds handles of. */
  processUpdates(processId: ProcessId): string;
  /** Frames of a channel that runs over NATS. */
  processChannel(processId: ProcessId): string;
  /** What the actors and tasks of a job print. */
  jobLogs(jobId: JobId): string;
  /** `{epoch}`: a head has started; agents report again and processes hold again. */
  readonly headStarted: string;
  /** A node is dead: what it stored is lost. */
  readonly nodeDied: string;
}

export function subjectsOf(clusterId: string): Subjects {
  const root = `manta.${clusterId}`;
  return {
    head: (operation) => `${root}.head.${operation}`,
    heartbeat: `${root}.head.heartbeat`,
    allHeadRequests: `${root}.head.>`,
    node: (nodeId, operation) => `${root}.node.${nodeId}.${operation}`,
    allOfNode: (nodeId) => `${root}.node.${nodeId}.>`,
    processUpdates: (processId) => `${root}.process.${processId}.updates`,
    processChannel: (processId) => `${root}.process.${processId}.channel`,
    jobLogs: (jobId) => `${root}.job.${jobId}.logs`,
    headStarted: `${root}.event.head-started`,
    nodeDied: `${root}.event.node-died`,
  };
}
