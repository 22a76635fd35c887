import type { ClusterObject, ClusterProcess, ObjectHolder } from './cluster-objects.ts';
import { formatBytes } from './format-bytes.ts';

const HOLDERS_NAMED = 6;

/** What an object is and what keeps it, in words. Pure. */
export function describeObject(
  object: ClusterObject,
  processes: readonly ClusterProcess[],
): string {
  const byId = new Map(processes.map((process) => [process.processId, process]));
  const sentences = [stateText(object), ownerText(object, byId), holdersText(object, byId)];
  const silent = processes.filter(({ silence }) => silence !== undefined).length;
  if (silent > 0)
    sentences.push(
      silent === 1
        ? 'One process has not answered, and may hold it too.'
        : `${silent} processes have not answered, and may hold it too.`,
    );
  return sentences.filter((sentence) => sentence !== '').join(' ');
}

function stateText(object: ClusterObject): string {
  const { state, error, maker } = object;
  const made = maker === undefined ? '' : ` (of ${makerText(maker)})`;
  switch (state) {
    case 'ready':
      return `The value${made} is there: ${placeText(object)}.`;
    case 'pending':
      return `The value${made} is not there yet.`;
    case 'unknown':
      return 'Its state is not known, because its owner has not answered or is gone.';
    case 'freed':
      return 'Its value was freed.';
    default:
      return `The value${made} is ${state}: ${error ?? 'no reason is known'}.`;
  }
}

export function makerText({
  kind,
  name,
  taskId,
  actorId,
}: NonNullable<ClusterObject['maker']>): string {
  if (kind === 'task') return `task ${name}${taskId === undefined ? '' : ` ${taskId}`}`;
  if (kind === 'actor-call') return `${name}${actorId === undefined ? '' : ` of actor ${actorId}`}`;
  return name;
}

function placeText({ where, places, sizeBytes, ownerId }: ClusterObject): string {
  const size = sizeBytes === undefined ? 'a primitive' : formatBytes(sizeBytes);
  if (where === 'heap') return `${size} in the heap of its owner, process ${ownerId}`;
  const parts = places.map(({ nodeId, where: place }) =>
    place === 'memory' ? `in the shared memory of node ${nodeId}` : `on the disk of node ${nodeId}`,
  );
  return `${size} ${parts.length === 0 ? 'in shared memory' : parts.join(' and ')}`;
}

function ownerText(
  { ownerId, ownerNodeId }: ClusterObject,
  processes: ReadonlyMap<string, ClusterProcess>,
): string {
  const process = processes.get(ownerId);
  if (process !== undefined) return `Its owner is ${processText(process)}.`;
  if (ownerNodeId !== undefined)
    return `Its owner is the agent of node ${ownerNodeId}, for it is durable.`;
  return `Its owner, process ${ownerId}, is not known to any node: it is gone, or on a machine that does not answer.`;
}

function processText({ processId, role, pid, nodeId, ...process }: ClusterProcess): string {
  const [actor] = process.actors;
  const number = pid === undefined ? '' : `, pid ${pid}`;
  const where = `process ${processId}${number}, on node ${nodeId}`;
  if (role === 'driver') {
    const program = process.program === undefined ? '' : ` ${process.program.split('/').at(-1)}`;
    return `driver${program} (${where})`;
  }
  if (actor === undefined) return where;
  const more = process.actorCount > 1 ? ` and ${process.actorCount - 1} more` : '';
  return actor.isTaskWorker
    ? `a task worker (${where})`
    : `actor ${actor.className} ${actor.actorId}${more} (${where})`;
}

function holdersText(
  { holders, state }: ClusterObject,
  processes: ReadonlyMap<string, ClusterProcess>,
): string {
  if (holders.length === 0) {
    return state === 'pending'
      ? ''
      : 'Nobody is known to hold it beside the ref of its owner: it goes when that is collected.';
  }
  const named = holders.slice(0, HOLDERS_NAMED).map((holder) => holderText(holder, processes));
  const more = holders.length - named.length;
  return `It is held by ${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}.`;
}

function holderText(
  { processId, how, times = 1, call }: ObjectHolder,
  processes: ReadonlyMap<string, ClusterProcess>,
): string {
  const process = processes.get(processId);
  const who = process === undefined ? `process ${processId}` : processText(process);
  switch (how) {
    case 'local-ref':
      return `a ref in ${who}`;
    case 'captured-in-actor':
    case 'running-task':
      return who;
    case 'in-value':
      return `${times === 1 ? 'a value' : `${times} values`} that ${who} keeps or sends`;
    case 'call-argument':
      return `${times === 1 ? 'a call' : `${times} calls`} of ${call ?? 'an actor'} by ${who}, whose argument it is`;
    case 'lent':
      return `${who}, which was given the ref${process?.silence === undefined ? '' : ' and does not answer'}`;
    case 'durable':
      return `the disk of its node until free() (durable)`;
  }
}
