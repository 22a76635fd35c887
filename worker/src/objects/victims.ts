import type { BlobId, ProcessId } from '@manta/runtime/ids';
import type { SlotAddress } from '@manta/runtime/objects/blob';

/** A blob that could leave memory. */
export interface Candidate {
  readonly blobId: BlobId;
  readonly slot: SlotAddress;
  readonly sizeBytes: number;
  /** Undefined: the agent. */
  readonly holder: ProcessId | undefined;
  readonly lastUsedMs: number;
  /** A good copy is on disk already: leaving costs nothing. */
  readonly onDisk: boolean;
  /** Pulled from another node, which may have it yet. */
  readonly isCopy: boolean;
  /** Some process has a view of it: its memory would not be free. */
  readonly pinned: boolean;
}

/** What was used so shortly ago may be on its way to a reader that has not pinned it yet. */
const RECENT_MS = 200;

/**
 * Which blobs leave memory so that `wantedBytes` become free: least recently used first, those that are on disk, or
 * likely on another node, before those that must be written, and what was used just now only when nothing else is left. Pure.
 */
export function chooseVictims(
  candidates: readonly Candidate[],
  wantedBytes: number,
  nowMs: number,
): Candidate[] {
  const cost = ({ lastUsedMs, onDisk, isCopy }: Candidate): number =>
    (nowMs - lastUsedMs < RECENT_MS ? 2 : 0) + (onDisk || isCopy ? 0 : 1);
  const ordered = candidates
    .filter(({ pinned }) => !pinned)
    .toSorted((a, b) => cost(a) - cost(b) || a.lastUsedMs - b.lastUsedMs);
  let bytes = 0;
  const chosen: Candidate[] = [];
  for (const candidate of ordered) {
    if (bytes >= wantedBytes) break;
    chosen.push(candidate);
    bytes += candidate.sizeBytes;
  }
  return chosen;
}
