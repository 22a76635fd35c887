import { MantaError } from '@manta/runtime/errors/errors';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import { parseId } from '@manta/runtime/ids';
import { LIMITS } from '@manta/runtime/wire/limits';
import * as actorMessages from '@manta/runtime/wire/actor-messages';
import * as jobMessages from '@manta/runtime/wire/job-messages';
import * as messages from '@manta/runtime/wire/messages';
import * as stateMessages from '@manta/runtime/wire/state-messages';
import type { HeadOperation } from '@manta/runtime/wire/subjects';
import type { InferOutput } from 'valibot';
import { createActor, takeArguments, type CreateResult } from '../tables/actors.ts';
import { causeOf, KILLED } from '../tables/causes.ts';
import type { Cluster } from '../tables/cluster.ts';
import { changeNode, drainNode, registerNode, reportEvents } from '../tables/nodes.ts';
import { isTaskWorker } from '../tables/actor-record.ts';
import { endUnreported, returnLease } from '../tables/leases.ts';
import {
  endJob,
  holdActors,
  noteLives,
  releaseActors,
  reportProgress,
  reviveActors,
  startJob,
} from '../tables/processes.ts';
import { actorDescriptionOf, jobInfoOf, nodeInfoOf } from './descriptions.ts';
import { explainActor } from './explanations.ts';
import { describeResources, listActors, listTasks } from './listings.ts';

/** What handlers know besides the tables. */
export interface HandlerContext {
  readonly cluster: Cluster;
  readonly clusterId: string;
  readonly epoch: string;
  readonly heartbeatIntervalMs: number;
  readonly fencingTimeoutMs: number;
  readonly now: number;
}

/** Decodes, changes the tables, answers. Throws MantaErrors; each may be asked again with the same effect. */
export type Handler = (context: HandlerContext, payload: Uint8Array) => unknown;

const ACKNOWLEDGEMENT = { ok: true };

export const HANDLERS: Readonly<Record<HeadOperation, Handler>> = {
  'node.register': (context, payload) => {
    const message = decodeControl(messages.NodeRegister, payload);
    const answer = registerNode(context.cluster, message, context.now);
    const { epoch, heartbeatIntervalMs, fencingTimeoutMs } = context;
    return { epoch, heartbeatIntervalMs, fencingTimeoutMs, ...answer };
  },
  'node.report': (context, payload) => {
    const message = decodeControl(messages.NodeReport, payload);
    if (!reportEvents(context.cluster, message, context.now)) {
      throw new RefusedError(
        'NodeDiedError',
        `node ${message.nodeId} is not registered in this session`,
      );
    }
    return ACKNOWLEDGEMENT;
  },
  'node.deregister': (context, payload) => {
    const message = decodeControl(messages.NodeDeregister, payload);
    const node = context.cluster.nodes.get(message.nodeId);
    if (node?.record.registration.sessionId === message.sessionId) {
      const reason = `it left: ${message.reason}`;
      changeNode(context.cluster, message.nodeId, { type: 'gone', reason }, context.now);
    }
    return ACKNOWLEDGEMENT;
  },
  'node.drain': (context, payload) => {
    const { nodeId, reason, deadlineMs } = decodeControl(messages.NodeDrain, payload);
    const options = { reason: reason ?? 'drain was asked for', deadlineMs };
    if (!drainNode(context.cluster, nodeId, options, context.now)) {
      throw new RefusedError('NodeDiedError', `there is no living node ${nodeId}`);
    }
    return ACKNOWLEDGEMENT;
  },
  'job.start': (context, payload) => {
    const message = decodeControl(jobMessages.JobStart, payload);
    const { cluster, clusterId, epoch, now } = context;
    startJob(cluster, { ...message, startedAt: now, state: 'running' }, now);
    return { clusterId, epoch, home: findHome(cluster, message.hostname) };
  },
  'job.end': (context, payload) => {
    const { jobId, processId } = decodeControl(jobMessages.JobEnd, payload);
    endJob(context.cluster, jobId, processId, context.now);
    return ACKNOWLEDGEMENT;
  },
  'job.progress': (context, payload) => {
    const progress = decodeControl(jobMessages.JobProgress, payload);
    reportProgress(context.cluster, progress, context.now);
    return ACKNOWLEDGEMENT;
  },
  'actor.create': (context, payload) => {
    const { specs } = decodeControl(actorMessages.ActorCreate, payload);
    return { results: specs.map((spec) => createOne(context, spec)) };
  },
  'actor.arguments': (context, payload) => {
    const message = decodeControl(actorMessages.ActorArguments, payload);
    const { spec } = message;
    const defect = spec === undefined ? undefined : argumentsDefect(spec);
    if (defect !== undefined) throw new RefusedError('InvalidArgumentError', defect);
    const entry = knownActor(context.cluster, message.actorId);
    takeArguments(context.cluster, entry, message, context.now);
    return ACKNOWLEDGEMENT;
  },
  'actor.hold': (context, payload) => {
    const message = decodeControl(actorMessages.ActorHold, payload);
    const { processId, actorIds, again = [], lived = [] } = message;
    holdActors(context.cluster, processId, actorIds, context.now);
    noteLives(context.cluster, lived, context.now);
    reviveActors(context.cluster, again, context.now);
    const actors = actorIds.map((actorId) => {
      const entry = context.cluster.actors.get(actorId);
      return entry === undefined ? undefined : actorDescriptionOf(entry.record);
    });
    return { actors };
  },
  'actor.release': (context, payload) => {
    const { processId, actorIds } = decodeControl(actorMessages.ActorRelease, payload);
    releaseActors(context.cluster, processId, actorIds, context.now);
    return ACKNOWLEDGEMENT;
  },
  'actor.lookup': (context, payload) => {
    const { processId, namespace, name } = decodeControl(actorMessages.ActorLookup, payload);
    const entry = context.cluster.actors.named(namespace, name);
    if (entry === undefined) return {};
    // Held from here on, so that it cannot go out of scope before the caller has its handle.
    holdActors(context.cluster, processId, [entry.record.spec.actorId], context.now);
    return { actor: actorDescriptionOf(entry.record) };
  },
  'actor.kill': (context, payload) => {
    const message = decodeControl(actorMessages.ActorKill, payload);
    const { actorId, restart = false, returned = false } = message;
    endUnreported(context.cluster, actorId, returned);
    const entry = knownActor(context.cluster, actorId);
    if (returned && isTaskWorker(entry.record)) {
      returnLease(context.cluster, entry, context.now);
      return ACKNOWLEDGEMENT;
    }
    const event = { type: 'kill', cause: KILLED, restart, counts: true } as const;
    context.cluster.stepActor(entry, event, context.now);
    return ACKNOWLEDGEMENT;
  },
  'actor.stop': (context, payload) => {
    const { actorId } = decodeControl(actorMessages.ActorStop, payload);
    const cause = causeOf('stopped', 'stop() was called.');
    context.cluster.stepActor(
      knownActor(context.cluster, actorId),
      { type: 'stop', cause },
      context.now,
    );
    return ACKNOWLEDGEMENT;
  },
  'actor.explain': (context, payload) => {
    const { actorId } = decodeControl(actorMessages.ActorExplain, payload);
    return explainActor(context.cluster, knownActor(context.cluster, actorId));
  },
  'state.nodes': (context) => ({ nodes: [...context.cluster.nodes.all()].map(nodeInfoOf) }),
  'state.actors': (context, payload) =>
    listActors(context.cluster, decodeControl(stateMessages.StateActors, payload)),
  'state.jobs': ({ cluster }) => ({
    jobs: [...cluster.jobs.all()].map((job) => jobInfoOf(job, cluster.tasks.totalOf(job.jobId))),
  }),
  'state.tasks': (context, payload) =>
    listTasks(context.cluster, decodeControl(stateMessages.StateTasks, payload).jobId),
  'state.resources': ({ cluster }) => describeResources(cluster),
};

/** An error whose class is only known by name here: it goes to the caller as an ErrorReply. */
export class RefusedError extends Error {
  readonly errorName: string;
  constructor(errorName: string, message: string) {
    super(message);
    this.errorName = errorName;
  }
}

function argumentsDefect({ encodedArgs }: messages.ActorSpec): string | undefined {
  const most = LIMITS.specArgumentBytes;
  return encodedArgs.length > most
    ? `the constructor's arguments take ${encodedArgs.length} bytes of its specification; at most ${most} can be sent in place, larger ones as refs`
    : undefined;
}

function createOne(context: HandlerContext, spec: messages.ActorSpec): object {
  const defect = argumentsDefect(spec);
  if (defect !== undefined) return { error: { name: 'InvalidArgumentError', message: defect } };
  let result: CreateResult;
  try {
    result = createActor(context.cluster, spec, context.now);
  } catch (error) {
    if (!MantaError.is(error)) throw error;
    const { name, message } = error as MantaError;
    return { error: { name, message } };
  }
  if (result.outcome === 'existing') return { existing: actorDescriptionOf(result.entry.record) };
  if (result.outcome === 'refused')
    return { error: { name: result.errorName, message: result.message } };
  return {};
}

/** The nearest node: on the caller's machine when there is one. */
function findHome(
  cluster: Cluster,
  hostname: string,
): InferOutput<typeof jobMessages.JobStartReply>['home'] {
  let home: messages.NodeRegister['address'] | undefined;
  let nodeId: messages.NodeRegister['nodeId'] | undefined;
  for (const node of cluster.nodes.living()) {
    if (node.state !== 'alive' && node.state !== 'draining') continue;
    const { registration } = node.record;
    const isNear = registration.hostname === hostname;
    if (home !== undefined && !isNear) continue;
    home = registration.address;
    nodeId = node.nodeId;
    if (isNear) break;
  }
  return home === undefined || nodeId === undefined ? undefined : { nodeId, address: home };
}

function knownActor(cluster: Cluster, text: string) {
  const actorId = parseId('actor', text);
  const entry = actorId === undefined ? undefined : cluster.actors.get(actorId);
  if (entry === undefined)
    throw new RefusedError('ActorNotFoundError', `there is no actor ${text}`);
  return entry;
}
