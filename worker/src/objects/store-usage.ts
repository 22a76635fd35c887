import type { NodeId, ProcessId } from '@manta/runtime/ids';

/** What a node's object store holds. */
export interface StoreUsage {
  limitBytes: number;
  /** Of all segments in memory, free pages included. */
  usedBytes: number;
  /** On disk now. */
  diskBytes: number;
  /** Since the start of the node. */
  spilledBytes: number;
  restoredBytes: number;
  evictions: number;
  /** Per process, as it said last. */
  liveBytes: ReadonlyMap<ProcessId, number>;
}

const HOLDERS_NAMED = 5;

/** Who holds what, and what to do. */
export function fullText(
  usage: StoreUsage & { nodeId: NodeId },
  bytes: number,
  tooLarge: boolean,
  disk: string | undefined,
): string {
  const { nodeId, limitBytes, usedBytes, diskBytes, liveBytes } = usage;
  const wanted = mebibytes(bytes);
  const remedy = 'or give the node a larger store (manta start --object-store-memory).';
  if (tooLarge)
    return `An object of ${wanted} can never fit into the object store of node ${nodeId}, whose limit is ${mebibytes(limitBytes)}. Split it, ${remedy}`;
  const holders = [...liveBytes]
    .filter(([, live]) => live > 0)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, HOLDERS_NAMED)
    .map(([processId, live]) => `process ${processId} holds ${mebibytes(live)}`);
  const facts = [
    `${mebibytes(usedBytes)} of ${mebibytes(limitBytes)} are in use`,
    ...holders,
    `${mebibytes(diskBytes)} are on disk`,
  ];
  const why =
    disk === undefined
      ? 'What is in memory is in use, so it cannot be moved to disk.'
      : `Nothing can be moved to disk: ${disk}.`;
  return `No room for ${wanted} in the object store of node ${nodeId}: ${facts.join(', ')}. ${why} Drop refs and values, make room on disk, ${remedy}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
