import { ProtocolError } from '../errors/errors.ts';
import type { ValueRecipe } from '../lineage/recipe.ts';
import { addressFrom, addressRecord, type AddressRecord } from '../rpc/address-record.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import {
  blobFrom,
  blobRecord,
  type BlobDescriptor,
  type BlobRecord,
  type SlotAddress,
} from './blob.ts';

/**
 * A value in shared memory, as a ref or a call holds it: where its bytes are, in place of the bytes. When the last
 * reference to the owner's StoredValue is gone, the owner frees the blob.
 */
export class StoredValue {
  readonly blob: BlobDescriptor;
  /** The owner of the blob; undefined: this process. */
  readonly owner: ProcessAddress | undefined;
  /** The refs and handles inside, held so that they live as long as the value. */
  readonly transferables: readonly Transferable[];
  /** Where it lies, or lay when this process last looked, in the memory of this process's node. */
  slot: SlotAddress | undefined;
  /** The bytes, in a process that has no store. */
  bytes: Uint8Array | undefined = undefined;
  /** How it can be made again when it is lost. */
  recipe: ValueRecipe | undefined = undefined;
  /** The refs and handles inside in encoded form, once it has been sent somewhere. */
  encodedTransferables: Uint8Array | undefined = undefined;

  constructor(
    blob: BlobDescriptor,
    owner: ProcessAddress | undefined,
    transferables: readonly Transferable[],
    slot: SlotAddress | undefined,
  ) {
    this.blob = blob;
    this.owner = owner;
    this.transferables = transferables;
    this.slot = slot;
  }
}

/** Whether a value is stored, but not, as far as is known, in the memory of this process's node. */
export function isElsewhere(content: unknown): boolean {
  return (
    content instanceof StoredValue && content.slot === undefined && content.bytes === undefined
  );
}

/**
 * How a stored value stands in a record, wherever an encoded value may stand. Without an owner it is the receiver's
 * (a result, an item of a stream).
 */
export type StoredRecord = [
  blob: BlobRecord,
  owner: AddressRecord | null,
  transferables: Uint8Array | null,
];

export function storedRecord(
  blob: BlobDescriptor,
  owner: ProcessAddress | undefined,
  encodedTransferables: Uint8Array | undefined,
): StoredRecord {
  return [
    blobRecord(blob),
    owner === undefined ? null : addressRecord(owner),
    encodedTransferables ?? null,
  ];
}

/** Told from the list of a raw payload, which starts with bytes. */
export function isStoredRecord(list: readonly unknown[]): boolean {
  return Array.isArray(list[0]);
}

export interface ReceivedStored {
  blob: BlobDescriptor;
  owner: ProcessAddress | undefined;
  encodedTransferables: Uint8Array | undefined;
}

/** @throws ProtocolError */
export function storedFrom(list: readonly unknown[]): ReceivedStored {
  const [blob, owner, transferables] = list;
  if (list.length !== 3 || !(transferables === null || transferables instanceof Uint8Array))
    throw new ProtocolError('A malformed stored value.');
  return {
    blob: blobFrom(blob),
    owner: owner === null ? undefined : addressFrom(owner),
    encodedTransferables: transferables ?? undefined,
  };
}
