import type { BlobId } from '@manta/runtime/ids';
import {
  blobFrom,
  slotFrom,
  type BlobDescriptor,
  type SlotAddress,
} from '@manta/runtime/objects/blob';
import { addressFrom } from '@manta/runtime/rpc/address-record';
import { countFrom, idFrom, idsFrom, listFrom } from '@manta/runtime/rpc/record-fields';
import type { ProcessAddress } from '@manta/runtime/wire/messages';

/** Blobs that one record may name. */
const ENTRIES_MAX = 100_000;

/** What a process says it could give up. */
export interface OfferedBlob {
  readonly blobId: BlobId;
  readonly slot: SlotAddress;
  readonly sizeBytes: number;
  readonly lastUsedMs: number;
}

export interface KeptBlob {
  readonly blob: BlobDescriptor;
  readonly owner: ProcessAddress;
}

/** @throws ProtocolError */
export function blobIdsFrom(value: unknown): BlobId[] {
  return idsFrom('blob', value, ENTRIES_MAX);
}

/** @throws ProtocolError */
export function keptFrom(value: unknown): KeptBlob[] {
  return listFrom(value, ENTRIES_MAX).map((entry) => {
    const [blob, owner] = listFrom(entry);
    return { blob: blobFrom(blob), owner: addressFrom(owner) };
  });
}

/** @throws ProtocolError */
export function offeredFrom(value: unknown): OfferedBlob[] {
  return listFrom(value, ENTRIES_MAX).map((entry) => {
    const [blobId, slot, sizeBytes, lastUsedMs] = listFrom(entry);
    return {
      blobId: idFrom('blob', blobId),
      slot: slotFrom(slot),
      sizeBytes: countFrom(sizeBytes, 'size'),
      lastUsedMs: typeof lastUsedMs === 'number' ? lastUsedMs : 0,
    };
  });
}

/** @throws ProtocolError */
export function reclaimedFrom(value: unknown): { givenBackBytes: number; liveBytes: number } {
  const [givenBack, live] = listFrom(value);
  return { givenBackBytes: countFrom(givenBack, 'size'), liveBytes: countFrom(live, 'size') };
}
