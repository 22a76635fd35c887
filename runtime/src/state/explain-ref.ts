import type { HeadClient } from '../core/head-client.ts';
import { MantaError } from '../errors/errors.ts';
import type { Lineage } from '../lineage/lineage.ts';
import { DurableRef } from '../objects/durable-ref.ts';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { ActorCall } from '../rpc/actor-call.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { pendingDependencies } from '../rpc/arguments.ts';
import { ask } from '../rpc/ask.ts';
import { describeRef } from '../rpc/call-explanation.ts';
import { explainCall } from '../rpc/caller-questions.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { decodeControl, encodeControl } from '../serialization/control-codec.ts';
import { TaskCall } from '../tasks/task-call.ts';
import { explainTask } from '../tasks/task-explanation.ts';
import type { Clock } from '../time/clock.ts';
import { within } from '../time/within.ts';
import { Explanation } from '../wire/actor-messages.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { ProcessReport, type ProcessInquiry } from '../wire/object-messages.ts';
import { formatBytes } from './format-bytes.ts';
import { stateOf } from './process-report.ts';

/** What an explanation asks of a process (core/core-process.ts). */
export interface ExplainingCore {
  readonly clock: Clock;
  readonly lineage: Lineage;
  head(): Promise<HeadClient>;
  connect(address: ProcessAddress): Promise<PeerConnection>;
}

/** Of what waits for something that waits for something, so many links are followed. */
export const HOPS_MAX = 5;
/** Without an answer for so long the head is taken for unreachable. */
const HEAD_TIMEOUT_MS = 2_000;
/** Of the owner of a borrowed ref, which may ask others in its turn. */
const OWNER_TIMEOUT_MS = 2_000;

/** Why the value is not there yet: what it waits for, what that waits for, and so on. */
export async function explainRef(
  core: ExplainingCore,
  ref: AnyObjectRef,
  hops = HOPS_MAX,
): Promise<Explanation> {
  const since = core.clock.now();
  const state = stateOf(ref);
  if (ref.state === REF_STATE.ready) return { state, since, reason: placeText(ref) };
  if (ref.state === REF_STATE.failed)
    return { state, since, reason: `It failed: ${String(ref.content)}` };
  const again = core.lineage.describe(ref);
  if (again !== undefined) {
    const attempt = again.attempt && (await explainRef(core, again.attempt, hops));
    return {
      ...(attempt ?? { state: 'waiting-for-dependencies', since }),
      reason: `${again.text} ${attempt?.reason ?? ''}`.trimEnd(),
    };
  }
  if (ref instanceof TaskCall) return explainTaskCall(core, ref, hops);
  if (ref instanceof ActorCall) return explainActorCall(core, ref, hops);
  if (ref.owner !== undefined) return explainBorrowed(core, ref, ref.owner, hops);
  const reason = 'Its value is being stored, which waits for room in the object store.';
  return { state, since, reason };
}

/** As far as this process alone knows. */
function placeText({ content }: AnyObjectRef): string {
  if (content instanceof StoredValue) {
    const { sizeBytes, agent } = content.blob;
    const place =
      agent.nodeId === undefined
        ? `the heap of process ${agent.processId}`
        : `the object store of node ${agent.nodeId}`;
    return `The value is there: ${formatBytes(sizeBytes)} in ${place}.`;
  }
  const size = content instanceof Payload ? formatBytes(content.bytes.byteLength) : 'a primitive';
  return `The value is there: ${size} in the heap of this process.`;
}

async function explainTaskCall(
  core: ExplainingCore,
  call: TaskCall,
  hops: number,
): Promise<Explanation> {
  const { lease, ...task } = await explainTask(call);
  const answer = await withArguments(core, task, call.values, hops);
  return lease === undefined ? answer : withReasonOf(core, lease, answer, hops);
}

async function explainActorCall(
  core: ExplainingCore,
  call: ActorCall,
  hops: number,
): Promise<Explanation> {
  const answer = await explainCall(call);
  if (call.phase !== 'queued') return withArguments(core, answer, call.values, hops);
  const { caller } = call;
  const blocked = await withArguments(core, answer, caller.queue.blocker?.values, hops);
  return withReasonOf(core, caller, blocked, hops);
}

/** What waits for a value waits for what that waits for: the first of them is followed. */
async function withArguments(
  core: ExplainingCore,
  answer: Explanation,
  values: readonly unknown[] | undefined,
  hops: number,
): Promise<Explanation> {
  const pending = values?.find(
    (value): value is AnyObjectRef => isObjectRef(value) && value.state === REF_STATE.pending,
  );
  if (pending === undefined || hops <= 0) return answer;
  const { reason } = await explainRef(core, pending, hops - 1);
  return { ...answer, reason: `${answer.reason} ${reason}` };
}

/** What waits for an actor, or a worker, waits for what that waits for. */
async function withReasonOf(
  core: ExplainingCore,
  caller: ActorCaller,
  answer: Explanation,
  hops: number,
): Promise<Explanation> {
  const { reason, perNode } = await explainCaller(core, caller, hops);
  return {
    ...answer,
    reason: `${answer.reason} ${reason}`,
    ...(perNode === undefined ? {} : { perNode }),
  };
}

async function explainBorrowed(
  core: ExplainingCore,
  ref: AnyObjectRef,
  owner: ProcessAddress,
  hops: number,
): Promise<Explanation> {
  const since = core.clock.now();
  const { processId } = owner;
  const state = 'pending';
  if (ref instanceof DurableRef)
    return { state, since, reason: `Node ${owner.nodeId} owns it; this process has not read it.` };
  if (hops <= 0)
    return { state, since, reason: `Its owner, process ${processId}, waits for more.` };
  try {
    const inquiry = { objectIds: [ref.id as never], explain: true, hops: hops - 1, limit: 1 };
    const answer = await within(core.clock, OWNER_TIMEOUT_MS, inquire(core, owner, inquiry));
    if (answer?.explanation !== undefined) {
      const { reason, ...rest } = answer.explanation;
      return { ...rest, reason: `Process ${processId} owns it and says: ${reason}` };
    }
    const silence =
      answer === undefined
        ? `has not answered for ${OWNER_TIMEOUT_MS} ms: it is busy or stopped`
        : 'does not know it any more';
    return { state, since, reason: `Its owner, process ${processId}, ${silence}.` };
  } catch (error) {
    const reason = `Its owner, process ${processId}, cannot be asked: ${String(error)}`;
    return { state, since, reason };
  }
}

/** @throws MantaError when the process cannot be reached or refuses. */
async function inquire(
  core: ExplainingCore,
  address: ProcessAddress,
  inquiry: ProcessInquiry,
): Promise<ProcessReport> {
  const connection = await core.connect(address);
  const answer = await ask(connection, RECORD.inquire, encodeControl(inquiry));
  return decodeControl(ProcessReport, answer as Uint8Array);
}

/** Why an actor, or the worker of a task, is not there. */
export async function explainCaller(
  core: ExplainingCore,
  caller: ActorCaller,
  hops = HOPS_MAX,
): Promise<Explanation> {
  const { deathError, actorId, madeAt: since, awaitedArguments } = caller;
  if (deathError !== undefined) return { state: 'dead', since, reason: deathError.message };
  if (awaitedArguments !== undefined)
    return explainConstructor(core, since, awaitedArguments, hops);
  if (caller.creating) {
    const reason = 'The head has not answered the request to create it.';
    return { state: 'registering', since, reason };
  }
  try {
    const head = await core.head();
    return await head.request('actor.explain', { actorId }, Explanation, HEAD_TIMEOUT_MS);
  } catch (error) {
    const state = caller.news.last?.state ?? 'pending';
    if (MantaError.is(error, 'ActorNotFoundError') && caller.news.last === undefined) {
      const reason = 'The head does not know it yet, and is asked again for a while.';
      return { state, since, reason };
    }
    if (!MantaError.is(error, 'ClusterUnavailableError')) throw error;
    const reason = `No head answers. The last that this process has heard of actor ${actorId}: it is ${state}.`;
    return { state, since, reason };
  }
}

/** The actor waits, since it was made here, for the arguments of its constructor. */
function explainConstructor(
  core: ExplainingCore,
  since: number,
  args: readonly unknown[],
  hops: number,
): Promise<Explanation> {
  const pending = pendingDependencies(args);
  const reason =
    pending.length === 0
      ? "Its constructor's arguments are being read and sent."
      : `Its constructor waits for its arguments: ${pending.map(describeRef).join(', ')}.`;
  return withArguments(core, { state: 'waiting-for-dependencies', since, reason }, args, hops);
}
