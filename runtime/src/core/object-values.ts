import { assert } from '../assert.ts';
import { ObjectStoreFullError, ProtocolError } from '../errors/errors.ts';
import type { BlobId, MintId, ProcessId } from '../ids.ts';
import { STORED_BYTES_MIN, type BlobDescriptor } from '../objects/blob.ts';
import type { BlobOwner } from '../objects/blob-owner.ts';
import { HEAP_BLOB_BYTES_MIN, type HeapBlobs } from '../objects/heap-blobs.ts';
import { isObjectRef, type AnyObjectRef } from '../objects/object-ref.ts';
import { Payload, rawPayload, rawValue } from '../objects/payload.ts';
import {
  isStoredRecord,
  StoredValue,
  storedFrom,
  storedRecord,
  type StoredRecord,
} from '../objects/stored-value.ts';
import { isConnectionLost } from '../rpc/ask.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import type { Caller } from '../rpc/caller-record.ts';
import { oversizeError } from '../rpc/message-bytes.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { EncodedParts, ValueCodec } from '../serialization/value-codec.ts';
import { holdsTransferables } from '../serialization/value-format.ts';
import { joinParts } from '../serialization/value-parts.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { HeapPulls } from './heap-pulls.ts';
import type { NodeStore } from './node-store.ts';
import type { PendingBlob } from './room-queue.ts';

export interface ValuesCore {
  readonly options: { readonly mintId: MintId };
  readonly address: ProcessAddress;
  readonly codec: ValueCodec;
  readonly clock: Clock;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  /** Decodes and says which refs and handles it brought to life. */
  collect(bytes: Uint8Array, sender: ProcessId): Transferable[];
  lend(pins: readonly Transferable[], borrower: ProcessId): void;
  unpin(pins: readonly Transferable[]): void;
  /** Pins a ref that a value kept here contains. */
  exportRef(ref: AnyObjectRef): unknown;
  /** The blob is being let go: nothing is to be told about it any more. */
  forgetStored(blobId: BlobId): void;
  /** This process owns values on other nodes. */
  watchNodes(): void;
}

/** What this process owns of blobs, wherever they lie. */
interface OwnBlobs {
  readonly blobs: BlobOwner;
  readonly heapBlobs: HeapBlobs;
}

/** What is left to do when nobody needs a kept value any more. */
interface Remains {
  readonly transferables: readonly Transferable[];
  readonly blob: BlobDescriptor | undefined;
}

/** A value that there is no room for in the store yet. */
export interface WaitingValue {
  /** Undefined: given up before it was stored. */
  readonly stored: Promise<StoredValue | undefined>;
  /** Nobody needs it any more: it makes room for others that wait. */
  giveUp(): void;
}

/** A value as it goes into a record. */
export type OutgoingValue = Uint8Array | StoredRecord;

/** A value that is taken away between its arrival and its reading so often is not to be had. */
const LOAD_ATTEMPTS = 10;

/** Connections to the agent that may break before it has answered. */
const LOCATE_ATTEMPTS = 3;

const NONE: readonly Transferable[] = [];

/**
 * The ways of a value into and out of this process: in the heap and inside messages when it is small, in the store of
 * the node when it is large.
 */
export class ObjectValues {
  readonly #core: ValuesCore;
  readonly #store: NodeStore;
  readonly #owner: BlobOwner;
  readonly #heapBlobs: HeapBlobs;
  readonly #heapPulls: HeapPulls;
  readonly #collected = new FinalizationRegistry<Remains>((remains) => this.#letGo(remains));

  constructor(core: ValuesCore, store: NodeStore, own: OwnBlobs) {
    this.#core = core;
    this.#store = store;
    this.#owner = own.blobs;
    this.#heapBlobs = own.heapBlobs;
    const { address, clock } = core;
    const connect = core.connect.bind(core);
    const { processId } = address;
    this.#heapPulls = new HeapPulls({ processId, clock, connect, own: own.blobs });
  }

  // ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Encodes a value that this process will own. The refs inside stay exported until it is collected.
   * @throws SerializationError naming the path of what cannot be kept. ObjectStoreFullError: too much waits for room.
   */
  keep(value: unknown, path: string): Payload | StoredValue | WaitingValue {
    return this.keepEncoded(this.#core.codec.encodeParts(value, path));
  }

  keepEncoded(encoded: EncodedParts): Payload | StoredValue | WaitingValue {
    const { parts, sizeBytes, transferables } = encoded;
    const isStored = sizeBytes >= STORED_BYTES_MIN && this.#store.isAvailable;
    if (!isStored && sizeBytes >= HEAP_BLOB_BYTES_MIN)
      return this.#keepInHeap(joinParts(parts, sizeBytes), transferables);
    if (!isStored) {
      const payload = new Payload(joinParts(parts, sizeBytes), transferables);
      if (transferables.length > 0)
        this.#collected.register(payload, { transferables, blob: undefined });
      return payload;
    }
    const written = this.#store.write(parts, sizeBytes);
    if (!('giveUp' in written)) return this.#own(written, transferables);
    return {
      giveUp: () => written.giveUp(),
      stored: this.#onceStored(written, transferables),
    };
  }

  async #onceStored(
    { blob, bytes }: PendingBlob,
    transferables: readonly Transferable[],
  ): Promise<StoredValue | undefined> {
    let stored: BlobDescriptor | undefined;
    try {
      stored = await blob;
    } catch (error) {
      // The node is gone, and its store with it; the value is not.
      if (this.#store.isAvailable || bytes === undefined) throw error;
      return this.#keepInHeap(bytes, transferables);
    }
    if (stored !== undefined) return this.#own(stored, transferables);
    this.#core.unpin(transferables);
    return undefined;
  }

  /** There is no store: others get it from here. */
  #keepInHeap(bytes: Uint8Array, transferables: readonly Transferable[]): StoredValue {
    // Whatever node this process may be on, that node does not have it.
    const agent = { ...this.#core.address, nodeId: undefined };
    const sizeBytes = bytes.byteLength;
    const blob = { blobId: this.#core.options.mintId('blob'), sizeBytes, agent, slot: undefined };
    this.#heapBlobs.add(blob.blobId, bytes);
    const stored = this.#own(blob, transferables);
    stored.bytes = bytes;
    return stored;
  }

  #own(blob: BlobDescriptor, transferables: readonly Transferable[]): StoredValue {
    const stored = new StoredValue(blob, undefined, transferables, this.#store.slotHint(blob));
    this.#collected.register(stored, { transferables, blob }, stored);
    return stored;
  }

  /** The value is not needed any more, before the garbage collector finds out. */
  drop(stored: StoredValue): void {
    if (stored.owner !== undefined || !this.#collected.unregister(stored)) return;
    this.#letGo({ transferables: stored.transferables, blob: stored.blob });
  }

  #letGo({ transferables, blob }: Remains): void {
    this.#core.unpin(transferables);
    if (blob === undefined) return;
    this.#core.forgetStored(blob.blobId);
    this.#heapBlobs.remove(blob.blobId);
    this.#store.release(blob, this.#owner.sources.remove(blob.blobId));
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Encodes a value for its new owner, who called. A promise: there is no room for it in the store yet.
   * @throws SerializationError, ObjectStoreFullError
   */
  handOver(
    value: unknown,
    path: string,
    receiver: ProcessId,
    caller: Caller | undefined,
  ): OutgoingValue | Promise<OutgoingValue> {
    const { parts, sizeBytes, transferables } = this.#core.codec.encodeParts(value, path);
    if (sizeBytes < STORED_BYTES_MIN || caller?.takesStored !== true || !this.#store.isAvailable) {
      const refusal = oversizeError(sizeBytes, path);
      if (refusal !== undefined) {
        this.#core.unpin(transferables);
        throw refusal;
      }
      this.#handTransferables(transferables, receiver);
      return joinParts(parts, sizeBytes);
    }
    const written = this.#store.write(parts, sizeBytes, caller.address);
    const describe = (stored: BlobDescriptor | undefined): StoredRecord => {
      assert(stored !== undefined, 'a result is not given up');
      const encoded = this.#encodeTransferables(transferables);
      this.#handTransferables(transferables, receiver);
      return storedRecord(stored, undefined, encoded);
    };
    return 'giveUp' in written ? written.blob.then(describe) : describe(written);
  }

  /** Refs of ours in the value are lent to the receiver as they leave. */
  #handTransferables(transferables: readonly Transferable[], receiver: ProcessId): void {
    if (transferables.length === 0) return;
    this.#core.lend(transferables, receiver);
    this.#core.unpin(transferables);
  }

  #encodeTransferables(transferables: readonly Transferable[]): Uint8Array | undefined {
    if (transferables.length === 0) return undefined;
    const encoded = this.#core.codec.encode(transferables, 'refs');
    // They are held by who holds the value.
    this.#core.unpin(encoded.transferables);
    return encoded.bytes;
  }

  /** A stored value in a record; the refs inside must be lent by whoever sends it. */
  describe(stored: StoredValue): StoredRecord {
    const { blob, owner, slot, transferables } = stored;
    stored.encodedTransferables ??= this.#encodeTransferables(transferables);
    if (owner === undefined) this.#noteCopies(blob);
    const isHere = this.#store.agent?.nodeId === blob.agent.nodeId;
    return storedRecord(
      isHere ? { ...blob, slot } : blob,
      owner ?? this.#core.address,
      stored.encodedTransferables,
    );
  }

  /** From now on others may ask this process, its owner, for copies of it. */
  #noteCopies(blob: BlobDescriptor): void {
    if (!this.#owner.sources.has(blob.blobId)) this.#owner.sources.add(blob);
  }

  // ── receiving ────────────────────────────────────────────────────────────────────────────────────────────
  /** What stands for a value in a record: the refs inside are borrowed at once, and as long as it lives. @throws ProtocolError */
  receive(received: Uint8Array | unknown[], sender: ProcessId): Payload | StoredValue {
    if (!Array.isArray(received)) {
      if (!holdsTransferables(received)) return new Payload(received, NONE);
      const found = this.#core.collect(received, sender);
      return this.#holdInside(new Payload(received, found), found);
    }
    if (isStoredRecord(received)) return this.#receiveStored(received, sender);
    const payload = rawPayload(received);
    if (payload === undefined)
      throw new ProtocolError('A value that is neither a primitive nor encoded.');
    return payload;
  }

  /** Nobody waits for this value any more: the refs in it, and its place in the store, are given back. */
  giveBack(received: unknown, sender: ProcessId): void {
    if (typeof received !== 'object' || received === null) return;
    const content = this.receive(received as Uint8Array | unknown[], sender);
    if (content instanceof StoredValue) this.drop(content);
  }

  #receiveStored(list: unknown[], sender: ProcessId): StoredValue {
    const { blob, owner, encodedTransferables } = storedFrom(list);
    const found =
      encodedTransferables === undefined ? NONE : this.#core.collect(encodedTransferables, sender);
    if (owner !== undefined) {
      const borrowed = new StoredValue(blob, owner, found, this.#store.slotHint(blob));
      return this.#holdInside(borrowed, found);
    }
    for (const item of found) if (isObjectRef(item)) this.#core.exportRef(item);
    const stored = this.#own(blob, found);
    this.#noteCopies(blob);
    if (blob.agent.nodeId !== this.#store.agent?.nodeId) this.#core.watchNodes();
    return stored;
  }

  /** The refs in a value can be asked for by whoever reads it, again and again, until it is collected. */
  #holdInside<V extends Payload | StoredValue>(value: V, found: readonly Transferable[]): V {
    if (found.length === 0) return value;
    for (const item of found) if (isObjectRef(item)) this.#core.exportRef(item);
    this.#collected.register(value, { transferables: found, blob: undefined });
    return value;
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────
  /** Each time anew: what a reader does to its value, others and later readers do not see. */
  decode(payload: Payload): unknown {
    if (payload.form !== 'value') return rawValue(payload);
    return this.#core.codec.decode(payload.bytes, new PrivateCopies(payload.bytes));
  }

  /** Undefined: `bringLocal` first. */
  decodeStored(stored: StoredValue): { value: unknown } | undefined {
    const { bytes } = stored;
    if (bytes !== undefined)
      return { value: this.#core.codec.decode(bytes, new PrivateCopies(bytes)) };
    const opened = this.#store.open(stored);
    if (opened === undefined) return undefined;
    return { value: this.#core.codec.decode(opened.bytes, opened) };
  }

  /** @throws ObjectLostError, OwnerDiedError, ObjectFreedError, ObjectStoreFullError */
  async load(stored: StoredValue): Promise<unknown> {
    for (let attempt = 0; attempt < LOAD_ATTEMPTS; attempt += 1) {
      const decoded = this.decodeStored(stored);
      if (decoded !== undefined) return decoded.value;
      await this.bringLocal(stored);
    }
    throw new ObjectStoreFullError(
      'A stored value was moved out of memory again each time before it could be read.',
    );
  }

  /** @throws ObjectLostError, OwnerDiedError, ObjectFreedError, ObjectStoreFullError */
  async bringLocal(stored: StoredValue): Promise<void> {
    if (stored.owner === undefined) this.#noteCopies(stored.blob);
    if (!(await this.#bringToStore(stored))) stored.bytes = await this.#heapPulls.pull(stored);
  }

  /**
   * False: this process has no store, or has one no more.
   * @throws what the agent says of the value, or that it does not answer though it is there.
   */
  async #bringToStore(stored: StoredValue): Promise<boolean> {
    for (let attempt = 1; this.#store.isAvailable; attempt += 1) {
      try {
        await this.#store.locate(stored, stored.owner ?? this.#core.address);
        return true;
      } catch (error) {
        // Without a store from now on: the value is pulled.
        if (!this.#store.isAvailable) break;
        if (!isConnectionLost(error) || attempt === LOCATE_ATTEMPTS) throw error;
      }
    }
    return false;
  }
}

/** Gives each reader of a payload its own copy of the binary data in it. */
class PrivateCopies {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  bufferOf(offset: number, length: number): ArrayBuffer {
    return new Uint8Array(this.#bytes.subarray(offset, offset + length)).buffer;
  }
}
