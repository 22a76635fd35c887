import type { ProcessId } from '@manta/runtime/ids';
import type { SlotAddress } from '@manta/runtime/objects/blob';

/** A slot that is being filled; nobody else knows its address yet. */
export interface Reservation {
  readonly slot: SlotAddress;
  write(offset: number, bytes: Uint8Array): void;
}

/** What the store manager uses of the node's shared memory (shared-memory/shared-store). */
export interface StoreMemory {
  readonly directory: string;
  readonly limitBytes: number;
  /** Of all processes' segments. */
  readonly usedBytes: number;
  reserve(sizeBytes: number): Reservation | undefined;
  /** Own and adopted slots only. */
  release(slots: readonly SlotAddress[]): void;
  sweep(): void;
  /** Bytes given back to the quota. */
  trim(bytes?: number): number;
  pinned(slots: readonly SlotAddress[]): boolean[];
  /** Takes over the segments of a dead process; gives their numbers. */
  adopt(processId: ProcessId): number[];
  /** Slots of own and adopted segments that were not released. */
  liveSlots(segmentId: number): Iterable<{ slot: SlotAddress }>;
  close(options?: { removeSegments?: boolean }): void;
}

/** Reads slots of any process without pinning them (slot-copier). */
export interface SlotSource {
  /** False: it is not, or while copying ceased to be, that generation. */
  copyOut(slot: SlotAddress, offset: number, target: Uint8Array): Promise<boolean>;
  isCurrent(slot: SlotAddress): Promise<boolean>;
  /** Lets go of what was given back to the quota. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}
