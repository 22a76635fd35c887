import type {
  ClusterObject,
  ClusterObjects,
  ClusterProcess,
  NodeUse,
  ObjectHolder,
} from '@manta/runtime/state/cluster-objects';
import type { ObjectGroup, ObjectGrouping } from '@manta/runtime/state/object-selection';
import { makerText } from '@manta/runtime/state/object-words';
import { formatBytes, renderTable } from '../output.ts';

const HOLDERS_SHOWN = 2;

type Processes = ReadonlyMap<string, ClusterProcess>;

export const byId = (processes: readonly ClusterProcess[]): Processes =>
  new Map(processes.map((process) => [process.processId, process]));

export function storeTable(nodes: readonly NodeUse[]): string {
  const rows = nodes.map(({ nodeId, name, store, silence }) =>
    store === undefined
      ? [nodeId, name, silence ?? 'no store']
      : [
          nodeId,
          name,
          `${formatBytes(store.usedBytes)}/${formatBytes(store.limitBytes)}`,
          percent(store.usedBytes, store.limitBytes),
          amount(store.copies),
          amount(store.spilled),
          `${formatBytes(store.diskBytes)} in ${store.spillFiles} files`,
          amount(store.durable),
          formatBytes(store.spilledBytes),
          formatBytes(store.restoredBytes),
        ],
  );
  const headings = ['NODE', 'NAME', 'USED', 'FULL', 'COPIES', 'SPILLED', 'ON DISK', 'DURABLE'];
  return renderTable([...headings, 'EVER SPILLED', 'EVER RESTORED'], rows);
}

const percent = (part: number, whole: number): string =>
  whole === 0 ? '-' : `${Math.round((100 * part) / whole)} %`;

const amount = ({ count, bytes }: { count: number; bytes: number }): string =>
  count === 0 ? '-' : `${count}: ${formatBytes(bytes)}`;

export function objectTable(objects: readonly ClusterObject[], processes: Processes): string {
  const rows = objects.map((object) => [
    object.objectId,
    object.sizeBytes === undefined ? '-' : formatBytes(object.sizeBytes),
    object.state,
    placeCell(object),
    ownerCell(object, processes),
    holdersCell(object),
    object.maker === undefined ? '-' : makerText(object.maker),
  ]);
  return renderTable(['OBJECT', 'SIZE', 'STATE', 'WHERE', 'OWNER', 'HELD BY', 'MADE BY'], rows);
}

function placeCell({ where, places }: ClusterObject): string {
  if (where === undefined || where === 'heap') return where ?? '-';
  const main = places.find((place) => place.where === where);
  const more = places.length > 1 ? ` +${places.length - 1}` : '';
  return `${where} ${main?.nodeId ?? ''}${more}`.trimEnd();
}

function ownerCell({ ownerId, ownerNodeId }: ClusterObject, processes: Processes): string {
  const process = processes.get(ownerId);
  if (process !== undefined) return `${ownerId} (${kindOf(process)})`;
  return ownerNodeId === undefined ? `${ownerId} (gone?)` : `node ${ownerNodeId} (durable)`;
}

function kindOf({ role, program, actors, actorCount }: ClusterProcess): string {
  const [actor] = actors;
  if (role === 'driver') return program?.split('/').at(-1) ?? 'driver';
  if (actor === undefined) return 'idle host';
  if (actor.isTaskWorker) return 'task worker';
  return actorCount > 1 ? `${actor.className} and ${actorCount - 1} more` : actor.className;
}

function holdersCell({ holders, ownerId }: ClusterObject): string {
  if (holders.length === 0) return '-';
  const named = holders.slice(0, HOLDERS_SHOWN).map((holder) => holderCell(holder, ownerId));
  const more = holders.length - named.length;
  return `${named.join(', ')}${more > 0 ? ` +${more}` : ''}`;
}

function holderCell(holder: ObjectHolder, ownerId: string): string {
  const { processId, how, times = 1, call, actorId, className } = holder;
  const who = processId === ownerId ? 'owner' : processId;
  switch (how) {
    case 'captured-in-actor':
      return actorId === undefined ? `actors in ${who}` : `${className} ${actorId}`;
    case 'running-task':
      return `task in ${who}`;
    case 'local-ref':
      return `ref in ${who}`;
    case 'in-value':
      return `${times} ${times === 1 ? 'value' : 'values'} of ${who}`;
    case 'call-argument':
      return `${times} ${times === 1 ? 'call' : 'calls'} of ${call ?? '?'}`;
    case 'lent':
      return `${who} (lent)`;
    case 'durable':
      return 'until free()';
  }
}

export function groupTable(
  groups: readonly ObjectGroup[],
  by: ObjectGrouping,
  { processes, nodes }: Pick<ClusterObjects, 'nodes'> & { processes: Processes },
): string {
  const rows = groups.map((group) => {
    const process = processes.get(group.id);
    const node = nodes.find(({ nodeId }) => nodeId === group.id);
    return [
      group.id,
      process === undefined ? (node?.name ?? '-') : kindOf(process),
      String(group.objects),
      String(group.pending),
      formatBytes(group.heapBytes),
      formatBytes(group.memoryBytes),
      formatBytes(group.spilledBytes),
      group.largest,
    ];
  });
  const headings = ['WHAT', 'OBJECTS', 'PENDING', 'IN HEAP', 'IN MEMORY', 'SPILLED', 'LARGEST'];
  return renderTable([by.toUpperCase(), ...headings], rows);
}

/** What an answer lacks, and whom to ask about it; empty when it lacks nothing. */
export function gaps({
  nodes,
  processes,
  leftOut,
}: Pick<ClusterObjects, 'nodes' | 'processes' | 'leftOut'>): string[] {
  const silent = processes.filter(({ silence }) => silence !== undefined);
  return [
    ...nodes.flatMap(({ nodeId, silence }) =>
      silence === undefined ? [] : [`node ${nodeId} did not answer: ${silence}`],
    ),
    ...silent.map(
      ({ processId, pid, nodeId, silence, ...process }) =>
        `process ${processId} (${kindOf({ processId, nodeId, ...process })}${pid === undefined ? '' : `, pid ${pid}`}) ` +
        `of node ${nodeId} is left out: ${silence}`,
    ),
    ...(leftOut > 0 ? [`${leftOut} smaller objects are not counted here`] : []),
  ];
}
