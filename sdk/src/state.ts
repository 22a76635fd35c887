import { isActorHandle, targetOf } from '@manta/runtime/core/actor-handle';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import { headCaughtUp } from '@manta/runtime/core/head-lag';
import { InvalidArgumentError, MantaError } from '@manta/runtime/errors/errors';
import type { ObjectId } from '@manta/runtime/ids';
import { DurableRef } from '@manta/runtime/objects/durable-ref';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '@manta/runtime/objects/object-ref';
import { objectById, objectsOf, type AskedCluster } from '@manta/runtime/state/ask-nodes';
import type { ClusterObject } from '@manta/runtime/state/cluster-objects';
import { tasksOf, type ClusterTask } from '@manta/runtime/state/cluster-tasks';
import { explainCaller, explainRef } from '@manta/runtime/state/explain-ref';
import { describeObject } from '@manta/runtime/state/object-words';
import { selectObjects, type ObjectFilter } from '@manta/runtime/state/object-selection';
import { LIMITS } from '@manta/runtime/wire/limits';
import {
  StateActorsReply,
  StateJobsReply,
  StateNodesReply,
  StateResourcesReply,
  type ActorInfo,
  type NodeInfo,
} from '@manta/runtime/wire/state-messages';
import type { TaskFilter } from '@manta/runtime/wire/task-messages';
import { subjectsOf } from '@manta/runtime/wire/subjects';
import { checkOptionNames, checkTexts } from './option-names.ts';
import { currentSession } from './session.ts';
import type { AnyActorHandle, ObjectRef } from './types.ts';

export type { ActorInfo, NodeInfo };
/** An object of the cluster: where it is, who owns it, who holds it and how. */
export type ObjectInfo = ClusterObject;
/** A task, or a call of an actor: where it is in its life, and what it failed with. */
export type TaskInfo = ClusterTask;
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

const ACTOR_STATES: readonly string[] = ['pending', 'alive', 'restarting', 'dead'];
const ACTOR_FILTERS = ['className', 'name', 'namespace', 'state', 'nodeId'] as const;

/**
 * The actors that the head knows, the latest dead ones too. An actor that has answered this process is `alive` in it; only
 * where its node cannot tell the head for a second, the list comes then and says `pending`.
 * @throws InvalidArgumentError, ClusterUnavailableError when no head answers.
 */
export async function listActors(
  filter: Partial<Pick<ActorInfo, (typeof ACTOR_FILTERS)[number]>> = {},
): Promise<ActorInfo[]> {
  checkTexts(filter, ACTOR_FILTERS, 'listActors()');
  checkState(filter.state);
  const { core } = currentSession();
  await core.actors.creationsAnswered();
  await headCaughtUp(core);
  const head = await core.head();
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

function checkState(state: string | undefined): void {
  if (state === undefined || ACTOR_STATES.includes(state)) return;
  throw new InvalidArgumentError(
    `listActors(): state is one of ${ACTOR_STATES.join(', ')}; got "${state}".`,
  );
}

export async function listJobs(): Promise<unknown[]> {
  const head = await currentSession().core.head();
  return (await head.request('state.jobs', {}, StateJobsReply)).jobs;
}

export interface ListTasksOptions extends Partial<TaskFilter> {
  /** At most so many; default 1 000, at most 10 000. */
  limit?: number;
}

const ROWS_DEFAULT = 1_000;

/**
 * The tasks of the cluster and the calls of actors that are not over, and the latest tasks that are: of each process that
 * submitted some, 10 000 that finished and 1 000 that failed. Those that run come first, then what failed, what waits
 * and what finished. Calls of actors leave no trace when they are over. A process that does not answer within a second
 * is left out. `manta why t_…` explains what a task waits for.
 * @throws InvalidArgumentError, ClusterUnavailableError when no head answers.
 */
export async function listTasks(options: ListTasksOptions = {}): Promise<TaskInfo[]> {
  const { limit = ROWS_DEFAULT, ...filter } = options;
  checkLimit('listTasks', limit);
  return (await tasksOf(await askedCluster(currentSession().core), { limit, filter })).tasks;
}

function checkLimit(caller: string, limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMITS.objectRows) return;
  throw new InvalidArgumentError(
    `${caller}: limit must be a whole number from 1 to ${LIMITS.objectRows}; got ${limit}.`,
  );
}

export interface ListObjectsOptions extends ObjectFilter {
  /** All processes collect garbage first, so that what is listed is really held. Default false. */
  collectGarbage?: boolean;
  /** At most so many, the largest first; default 1 000, at most 10 000. */
  limit?: number;
}

const OBJECT_OPTIONS: Record<keyof ListObjectsOptions, true> = {
  collectGarbage: true,
  limit: true,
  objectId: true,
  state: true,
  where: true,
  ownerId: true,
  holderId: true,
  nodeId: true,
  minBytes: true,
};

/**
 * The objects of the cluster, the largest first: those that have left their owner, those in object stores, and the
 * results of calls and tasks that are not over. Small values that never left their owner are not listed. A process that
 * does not answer within a second is left out; what it owns has the state 'unknown' then.
 * @throws InvalidArgumentError, ClusterUnavailableError when no head answers.
 */
export async function listObjects(options: ListObjectsOptions = {}): Promise<ObjectInfo[]> {
  checkOptionNames(options, Object.keys(OBJECT_OPTIONS), 'listObjects()');
  const { limit = ROWS_DEFAULT, collectGarbage, ...filter } = options;
  checkLimit('listObjects', limit);
  const cluster = await askedCluster(currentSession().core);
  // What is filtered out must not take the places of what is not.
  const scanned = Object.keys(filter).length === 0 ? limit : LIMITS.objectRows;
  const { objects } = await objectsOf(cluster, { limit: scanned, collectGarbage });
  return selectObjects(objects, filter).slice(0, limit);
}

async function askedCluster(core: CoreProcess, timeoutMs?: number): Promise<AskedCluster> {
  const head = await core.head();
  const { nodes } = await head.request('state.nodes', {}, StateNodesReply, timeoutMs);
  const subjects = subjectsOf(core.options.clusterId);
  return { transport: await core.transport(), subjects, nodes };
}

/** Without an answer for so long the head is taken for unreachable. */
const EXPLAIN_TIMEOUT_MS = 2_000;

type Answer = { state: string; since: number; reason: string; perNode?: Record<string, string> };

/**
 * Why it is not there yet, in words and data: what it waits for, what that waits for, on which node, since when; for
 * unplaced work, why not per node. Of a value that is there: where it is, who owns it, and who holds it.
 * `since`, in milliseconds since the epoch: when a call began to wait here, or reached its actor; when an actor got into
 * its state. Of a value that is there, and of what does not answer, it is the time of the question.
 */
export async function explain(
  // oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
  what: ObjectRef<any> | AnyActorHandle,
): Promise<Answer> {
  const { core } = currentSession();
  if (isActorHandle(what)) return withoutUndefined(explainCaller(core, targetOf(what).caller));
  if (!isObjectRef(what))
    throw new InvalidArgumentError('explain() takes a ref or an actor handle.');
  const answer = await withoutUndefined(explainRef(core, what));
  // What a process knows of a durable object it has not read is nothing; its node knows more.
  const isUnread = what.state === REF_STATE.pending && what instanceof DurableRef;
  if (what.state !== REF_STATE.ready && !isUnread) return answer;
  const object = await whereabouts(core, what);
  if (object === undefined) return answer;
  return { ...answer, reason: object.reason, state: isUnread ? object.state : answer.state };
}

/** Undefined: nobody can be asked, or knows. */
async function whereabouts(
  core: CoreProcess,
  ref: AnyObjectRef,
): Promise<Pick<Answer, 'state' | 'reason'> | undefined> {
  try {
    const cluster = await askedCluster(core, EXPLAIN_TIMEOUT_MS);
    const { objects, processes } = await objectById(cluster, ref.id as ObjectId);
    const [object] = objects;
    if (object === undefined) return undefined;
    return { state: object.state, reason: describeObject(object, processes) };
  } catch (error) {
    if (!MantaError.is(error, 'ClusterUnavailableError')) throw error;
    return undefined;
  }
}

async function withoutUndefined(explanation: ReturnType<typeof explainRef>): Promise<Answer> {
  const { perNode, ...answer } = await explanation;
  return { ...answer, ...(perNode === undefined ? {} : { perNode }) };
}
