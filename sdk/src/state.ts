import { isActorHandle, targetOf } from '@manta/runtime/core/actor-handle';
import { InvalidArgumentError, MantaError } from '@manta/runtime/errors/errors';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '@manta/runtime/objects/object-ref';
import { ActorCall } from '@manta/runtime/rpc/actor-call';
import { explainCall, unfinishedCallsOf } from '@manta/runtime/rpc/caller-questions';
import { TASK_PHASE_NAMES, TaskCall } from '@manta/runtime/tasks/task-call';
import { explainTask } from '@manta/runtime/tasks/task-explanation';
import { taskIdOf } from '@manta/runtime/tasks/task-id';
import { Explanation } from '@manta/runtime/wire/messages';
import {
  StateActorsReply,
  StateJobsReply,
  StateNodesReply,
  StateResourcesReply,
  type ActorInfo,
  type NodeInfo,
} from '@manta/runtime/wire/state-messages';
import { currentSession } from './session.ts';
import type { AnyActorHandle, ObjectRef } from './types.ts';

export type { ActorInfo, NodeInfo };
export type GpuInfo = NodeInfo['gpus'][number];

const PAGE = 5_000;

/** Keys: `cpus`, `gpus`, `memoryBytes` and the names of custom resources. */
export async function clusterResources(): Promise<Record<string, number>> {
  return (await resources()).total;
}

export async function availableResources(): Promise<Record<string, number>> {
  return (await resources()).available;
}

async function resources(): Promise<{
  total: Record<string, number>;
  available: Record<string, number>;
}> {
  const head = await currentSession().core.head();
  return head.request('state.resources', {}, StateResourcesReply);
}

export async function listNodes(): Promise<NodeInfo[]> {
  const head = await currentSession().core.head();
  return (await head.request('state.nodes', {}, StateNodesReply)).nodes;
}

export async function listActors(
  filter: Partial<Pick<ActorInfo, 'className' | 'name' | 'namespace' | 'state' | 'nodeId'>> = {},
): Promise<ActorInfo[]> {
  const head = await currentSession().core.head();
  const actors: ActorInfo[] = [];
  let after: string | undefined;
  do {
    const page = await head.request(
      'state.actors',
      { ...filter, after, limit: PAGE },
      StateActorsReply,
    );
    actors.push(...page.actors);
    after = page.next;
  } while (after !== undefined);
  return actors;
}

export async function listJobs(): Promise<unknown[]> {
  const head = await currentSession().core.head();
  return (await head.request('state.jobs', {}, StateJobsReply)).jobs;
}

/** The unfinished actor calls and tasks of this process; those of others are known to them alone. */
export function listTasks(): Promise<unknown[]> {
  const { core } = currentSession();
  const calls = core.actors.callers().flatMap(unfinishedCallsOf);
  return Promise.resolve([
    ...core.tasks.unfinished().map((call) => ({
      objectId: call.id,
      taskId: taskIdOf(core.processId, call.number),
      name: call.task.name,
      state: TASK_PHASE_NAMES[call.phase],
      retriesLeft: call.retriesLeft,
    })),
    ...calls.map((call) => ({
      objectId: call.id,
      actorId: call.caller.actorId,
      className: call.caller.className,
      method: call.method.name,
      state: call.phase,
      retriesLeft: call.retriesLeft,
    })),
  ]);
}

/** The objects of this process that others may ask for, and who keeps them. */
export function listObjects(): Promise<unknown[]> {
  const { core } = currentSession();
  const objects = core.objects.table.entries().map(({ id, pins, borrowers, ref }) => ({
    objectId: id,
    ownerId: core.processId,
    state: (['pending', 'ready', 'failed'] as const)[ref.state],
    pins,
    borrowers,
  }));
  return Promise.resolve(objects);
}

/**
 * Why it is not there yet, in words and data: what it waits for, on which node, since when; for unplaced work, why not
 * per node.
 */
export async function explain(
  // oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
  what: ObjectRef<any> | AnyActorHandle,
): Promise<{ state: string; since: number; reason: string; perNode?: Record<string, string> }> {
  if (isActorHandle(what)) return explainActor(what);
  if (!isObjectRef(what))
    throw new InvalidArgumentError('explain() takes a ref or an actor handle.');
  return explainRef(what);
}

async function explainRef(what: AnyObjectRef): Promise<Answer> {
  const now = Date.now();
  if (what.state === REF_STATE.ready)
    return { state: 'ready', since: now, reason: 'The value is there.' };
  if (what.state === REF_STATE.failed) {
    return { state: 'failed', since: now, reason: `It failed: ${String(what.content)}` };
  }
  const again = currentSession().core.lineage.describe(what);
  if (again !== undefined) {
    const { reason, ...answer } =
      again.attempt === undefined
        ? { state: 'waiting-for-dependencies', since: now, reason: '' }
        : await explainRef(again.attempt);
    return { ...answer, reason: `${again.text} ${reason}`.trimEnd() };
  }
  if (what instanceof TaskCall) {
    const { lease, ...task } = await explainTask(what);
    return lease === undefined ? task : withReasonOf(lease, task);
  }
  if (!(what instanceof ActorCall)) {
    const owner = what.ownerId ?? 'this process';
    return {
      state: 'pending',
      since: now,
      reason: `The value is made elsewhere; its owner is ${owner}.`,
    };
  }
  const call = await explainCall(what);
  if (what.phase !== 'queued') return call;
  return withReasonOf(what.caller, call);
}

/** What waits for an actor, or a worker, waits for what that waits for. */
async function withReasonOf(caller: ActorCall['caller'], answer: Answer): Promise<Answer> {
  const { reason, perNode } = await explainCaller(caller);
  return {
    ...answer,
    reason: `${answer.reason} ${reason}`,
    ...(perNode === undefined ? {} : { perNode }),
  };
}

/** Without an answer for so long the head is taken for unreachable. */
const EXPLAIN_TIMEOUT_MS = 2_000;

type Answer = { state: string; since: number; reason: string; perNode?: Record<string, string> };

function explainActor(handle: unknown): Promise<Answer> {
  return explainCaller(targetOf(handle).caller);
}

async function explainCaller(caller: ActorCall['caller']): Promise<Answer> {
  const { deathError } = caller;
  if (deathError !== undefined)
    return { state: 'dead', since: caller.madeAt, reason: deathError.message };
  if (caller.creating) {
    return {
      state: 'registering',
      since: caller.madeAt,
      reason: 'The head has not answered the request to create it.',
    };
  }
  try {
    const head = await currentSession().core.head();
    const message = { actorId: caller.actorId };
    const { perNode, ...answer } = await head.request(
      'actor.explain',
      message,
      Explanation,
      EXPLAIN_TIMEOUT_MS,
    );
    return { ...answer, ...(perNode === undefined ? {} : { perNode }) };
  } catch (error) {
    if (!MantaError.is(error, 'ClusterUnavailableError')) throw error;
    const state = caller.lastUpdate?.state ?? 'pending';
    const reason = `No head answers. The last that this process has heard of actor ${caller.actorId}: it is ${state}.`;
    return { state, since: caller.madeAt, reason };
  }
}
