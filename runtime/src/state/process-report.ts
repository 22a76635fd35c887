import { ArgumentRef } from '../core/owned-objects.ts';
import { MantaError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import { REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { ActorCall } from '../rpc/actor-call.ts';
import { TASK_PHASE, TASK_PHASE_NAMES, TaskCall } from '../tasks/task-call.ts';
import { taskIdOf } from '../tasks/task-id.ts';
import type {
  ObjectMaker,
  ObjectRow,
  ObjectState,
  ProcessInquiry,
  ProcessReport,
} from '../wire/object-messages.ts';
import { knownRefs, type KnownRef, type ReportedCore } from './known-refs.ts';

type Rows = Pick<ProcessReport, 'rows' | 'total'>;

const ROWS_DEFAULT = 1_000;
const ERROR_LENGTH_MAX = 300;
const LOST = ['ObjectLostError', 'OwnerDiedError', 'ObjectReconstructionFailedError'];

/** The objects that a process knows, the largest first. */
export function rowsOf(core: ReportedCore, inquiry: ProcessInquiry): Rows {
  const { limit = ROWS_DEFAULT } = inquiry;
  const { refs, unseenCalls } = knownRefs(core);
  const wanted = inquiry.objectIds && new Set<string>(inquiry.objectIds);
  const isWanted = ({ objectId }: AnyObjectRef): boolean =>
    wanted === undefined || (objectId !== undefined && wanted.has(objectId));
  const found = [...refs.values()].filter(({ ref }) => isWanted(ref));
  const sizes = new Map(found.map((known) => [known, sizeOf(known.ref) ?? -1]));
  const largest = found
    .sort((a, b) => (sizes.get(b) as number) - (sizes.get(a) as number))
    .slice(0, limit);
  return {
    rows: largest.map((known) => rowOf(known, core.processId)),
    total: found.length + (wanted === undefined ? unseenCalls : 0),
  };
}

/** The ref that this process has of that object, its own or borrowed. */
export function findRef(core: ReportedCore, objectId: string): AnyObjectRef | undefined {
  for (const ref of knownRefs(core).refs.keys()) if (ref.objectId === objectId) return ref;
  return undefined;
}

function rowOf({ ref, holds, borrowers }: KnownRef, processId: ProcessId): ObjectRow {
  const { content } = ref;
  const sizeBytes = sizeOf(ref);
  const maker = makerOf(ref, processId);
  const isFailed = ref.state === REF_STATE.failed;
  return {
    objectId: ref.id as ObjectId,
    ownerId: ref.ownerId ?? processId,
    state: stateOf(ref),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...placeOf(ref),
    ...(isFailed ? { error: String(content).slice(0, ERROR_LENGTH_MAX) } : {}),
    ...(maker === undefined ? {} : { maker }),
    holds,
    ...(borrowers === undefined ? {} : { borrowers }),
  };
}

/** Of the encoded value. */
function sizeOf({ content }: AnyObjectRef): number | undefined {
  if (content instanceof StoredValue) return content.blob.sizeBytes;
  return content instanceof Payload ? content.bytes.byteLength : undefined;
}

function placeOf({ state, content }: AnyObjectRef): Pick<ObjectRow, 'where' | 'blobId' | 'nodeId'> {
  if (state !== REF_STATE.ready) return {};
  if (!(content instanceof StoredValue)) return { where: 'heap' };
  const { blobId, agent } = content.blob;
  const { nodeId } = agent;
  return nodeId === undefined ? { where: 'heap', blobId } : { where: 'store', blobId, nodeId };
}

export function stateOf(ref: AnyObjectRef): ObjectState {
  if (ref.state === REF_STATE.pending) return 'pending';
  if (ref.state === REF_STATE.ready) return 'ready';
  if (MantaError.is(ref.content, 'ObjectFreedError')) return 'freed';
  return LOST.some((name) => MantaError.is(ref.content, name)) ? 'lost' : 'failed';
}

function makerOf(ref: AnyObjectRef, processId: ProcessId): ObjectMaker | undefined {
  if (ref instanceof ArgumentRef) return { kind: 'argument', name: 'a large argument of a call' };
  if (ref instanceof TaskCall) {
    const phase = ref.phase === TASK_PHASE.done ? {} : { phase: TASK_PHASE_NAMES[ref.phase] ?? '' };
    const taskId = taskIdOf(processId, ref.number);
    return { kind: 'task', name: ref.task.name, taskId, ...phase };
  }
  if (!(ref instanceof ActorCall)) return undefined;
  const { caller, method, phase } = ref;
  return {
    kind: 'actor-call',
    name: `${caller.className}.${method.name}`,
    actorId: caller.actorId,
    ...(phase === 'done' ? {} : { phase }),
  };
}
