import { fromFixedPoint } from '@manta/runtime/resources/fixed-point';
import type { ActorDescription, ActorUpdate } from '@manta/runtime/wire/messages';
import type {
  ActorInfo,
  JobInfo,
  NodeInfo,
  TaskWorkerInfo,
} from '@manta/runtime/wire/state-messages';
import type { ActorRecord } from '../tables/actor-record.ts';
import type { JobRecord } from '../tables/job-table.ts';
import type { NodeEntry } from '../tables/node-table.ts';

/** Records as the wire and people see them. */
export function actorUpdateOf(record: ActorRecord): ActorUpdate {
  return {
    actorId: record.spec.actorId,
    revision: record.revision,
    state: record.state,
    incarnation: record.incarnation,
    address: record.state === 'alive' ? record.address : undefined,
    deathCause: record.deathCause,
    encodedError: record.encodedError,
    perNode: record.perNode,
    errorName: record.errorName,
    ...(record.isWanted && record.state === 'alive' ? { wanted: true } : {}),
  };
}

export function actorDescriptionOf(record: ActorRecord): ActorDescription {
  const { spec } = record;
  return {
    actorId: spec.actorId,
    className: spec.className,
    namespace: spec.namespace,
    name: spec.name,
    methods: spec.methods,
    maxTaskRetries: spec.maxTaskRetries,
    retryExceptions: spec.retryExceptions,
    maxPendingCalls: spec.maxPendingCalls,
    allowOutOfOrderExecution: spec.allowOutOfOrderExecution,
    update: actorUpdateOf(record),
  };
}

export function actorInfoOf(record: ActorRecord): ActorInfo {
  const { spec, placement, pid, deathCause, state } = record;
  return {
    actorId: spec.actorId,
    className: spec.className,
    namespace: spec.namespace,
    state,
    restarts: record.restarts,
    ...(spec.name === undefined ? {} : { name: spec.name }),
    ...(placement === undefined || state === 'dead' ? {} : { nodeId: placement.nodeId }),
    ...(pid === undefined || state !== 'alive' ? {} : { pid }),
    ...(deathCause === undefined ? {} : { deathCause }),
  };
}

export function nodeInfoOf(node: NodeEntry): NodeInfo {
  const { reason, resources, objectStore } = node;
  const isDead = node.state === 'dead';
  const total = resources.plainTotal();
  return {
    nodeId: node.nodeId,
    name: node.record.registration.name,
    state: node.state,
    ...(reason === undefined ? {} : { reason }),
    resources: total,
    available: isDead
      ? Object.fromEntries(Object.keys(total).map((key) => [key, 0]))
      : resources.plainFree(),
    labels: { ...node.labels },
    gpus: resources.gpus.devices().map(({ device, freeShare }) => ({
      index: device.index,
      uuid: device.uuid,
      model: device.model,
      memoryBytes: device.memoryBytes,
      freeShare: isDead ? 0 : fromFixedPoint(freeShare),
    })),
    ...(objectStore === undefined || isDead ? {} : { objectStore }),
  };
}

export function jobInfoOf(record: JobRecord, tasks: JobInfo['tasks'] | undefined): JobInfo {
  const { jobId, state, entrypoint, pid, hostname, namespace, startedAt, endedAt } = record;
  return {
    jobId,
    state,
    entrypoint,
    pid,
    hostname,
    namespace,
    startedAt,
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(tasks === undefined ? {} : { tasks }),
  };
}

export function taskWorkerInfoOf(record: ActorRecord): TaskWorkerInfo {
  const { spec, placement, pid, state } = record;
  const { actorId, jobId, ownerId } = spec;
  return {
    actorId,
    jobId,
    ownerId,
    state,
    isBlocked: record.isBlocked ?? false,
    ...(placement === undefined ? {} : { nodeId: placement.nodeId }),
    ...(pid === undefined ? {} : { pid }),
  };
}
