import { ProtocolError } from '@manta/runtime/errors/errors';
import { parseId, type BlobId } from '@manta/runtime/ids';
import {
  blobFrom,
  slotFrom,
  type BlobDescriptor,
  type SlotAddress,
} from '@manta/runtime/objects/blob';
import { addressFrom } from '@manta/runtime/rpc/address-record';
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
export function callFrom(value: unknown): number {
  return countFrom(value, 'call number');
}

/** @throws ProtocolError */
export function countFrom(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ProtocolError(`A store record with a malformed ${what}.`);
}

/** @throws ProtocolError */
export function blobIdsFrom(value: unknown): BlobId[] {
  return listFrom(value).map(blobIdFrom);
}

/** @throws ProtocolError */
export function keptFrom(value: unknown): KeptBlob[] {
  return listFrom(value).map((entry) => {
    const [blob, owner] = listFrom(entry);
    return { blob: blobFrom(blob), owner: addressFrom(owner) };
  });
}

/** @throws ProtocolError */
export function offeredFrom(value: unknown): OfferedBlob[] {
  return listFrom(value).map((entry) => {
    const [blobId, slot, sizeBytes, lastUsedMs] = listFrom(entry);
    return {
      blobId: blobIdFrom(blobId),
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

function blobIdFrom(value: unknown): BlobId {
  const id = parseId('blob', value);
  if (id === undefined) throw new ProtocolError('A store record without a blob id.');
  return id;
}

function listFrom(value: unknown): unknown[] {
  if (Array.isArray(value) && value.length <= ENTRIES_MAX) return value;
  throw new ProtocolError('A store record without a list, or with one that is too long.');
}
