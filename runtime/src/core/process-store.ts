import type { SlotAddress } from '../objects/blob.ts';

/** Bytes of a slot, held for as long as an ArrayBuffer of it is reachable. */
export interface OpenedBytes {
  readonly bytes: Uint8Array;
  /** An ArrayBuffer of exactly this range. */
  bufferOf(offset: number, length: number): ArrayBuffer;
}

export interface ProcessStoreStatistics {
  readonly liveSlots: number;
  readonly liveBytes: number;
  readonly views: number;
  readonly bytesCopiedIn: number;
  readonly bytesCopiedOut: number;
}

/** What a process needs of its node's store (shared-memory/shared-store.ts). */
export interface ProcessStore {
  readonly limitBytes: number;
  /** That this process keeps from being used again. */
  readonly heldBytes: number;
  /** One copy of the parts into a fresh slot; undefined: there is no room. */
  write(parts: readonly Uint8Array[], sizeBytes: number): SlotAddress | undefined;
  /** Undefined: something else lies there by now. */
  open(slot: SlotAddress, sizeBytes: number): OpenedBytes | undefined;
  release(slots: readonly SlotAddress[]): void;
  sweep(): void;
  trim(bytes?: number): number;
  pinned(slots: readonly SlotAddress[]): boolean[];
  statistics(): ProcessStoreStatistics;
  close(): void;
}
