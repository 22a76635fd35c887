import { ProtocolError } from '../errors/errors.ts';
import { parseId, type BlobId } from '../ids.ts';
import { addressFrom, addressRecord, type AddressRecord } from '../rpc/address-record.ts';
import type { ProcessAddress } from '../wire/messages.ts';

/** Where bytes lie in the shared memory of one node. Only processes attached to that node's store can use it. */
export interface SlotAddress {
  /** Number of the segment, unique in the store. */
  readonly segmentId: number;
  /** From the start of the segment's data, in bytes; a multiple of the page size. */
  readonly offset: number;
  /** Grows when the space is used anew: a reader that finds another number came too late. */
  readonly generation: number;
}

/** What travels in place of the bytes of a large value. */
export interface BlobDescriptor {
  readonly blobId: BlobId;
  /** Length of the encoded value. */
  readonly sizeBytes: number;
  /** Agent of the node where it was stored; without a `nodeId` its owner, which has it in its heap. */
  readonly agent: ProcessAddress;
  /** Where it lay there when the descriptor was made; it may have moved to disk since. */
  readonly slot: SlotAddress | undefined;
}

/** From this size on the encoded bytes of a value go to shared memory (Ray: max_direct_call_object_size). */
export const STORED_BYTES_MIN = 100 * 1024;

export type SlotRecord = [segmentId: number, offset: number, generation: number];
export type BlobRecord = [
  blobId: string,
  sizeBytes: number,
  agent: AddressRecord,
  slot: SlotRecord | null,
];

export function slotRecord({ segmentId, offset, generation }: SlotAddress): SlotRecord {
  return [segmentId, offset, generation];
}

export function blobRecord({ blobId, sizeBytes, agent, slot }: BlobDescriptor): BlobRecord {
  return [blobId, sizeBytes, addressRecord(agent), slot === undefined ? null : slotRecord(slot)];
}

/** @throws ProtocolError */
export function slotFrom(value: unknown): SlotAddress {
  if (!Array.isArray(value) || value.length !== 3 || !value.every(isCount))
    throw new ProtocolError('A malformed slot address.');
  const [segmentId, offset, generation] = value as SlotRecord;
  return { segmentId, offset, generation };
}

/** @throws ProtocolError */
export function blobFrom(value: unknown): BlobDescriptor {
  const [id, sizeBytes, agent, slot] = Array.isArray(value) ? (value as unknown[]) : [];
  const blobId = parseId('blob', id);
  if (blobId === undefined || !isCount(sizeBytes))
    throw new ProtocolError('A malformed blob descriptor.');
  return {
    blobId,
    sizeBytes,
    agent: addressFrom(agent),
    slot: slot == null ? undefined : slotFrom(slot),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
