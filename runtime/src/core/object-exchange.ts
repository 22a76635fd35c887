import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { OwnerDiedError, ProtocolError, type MantaError } from '../errors/errors.ts';
import { parseId, type ObjectId, type ProcessId } from '../ids.ts';
import {
  isObjectRef,
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import { ObjectTable } from '../objects/object-table.ts';
import { Payload, recordForm } from '../objects/payload.ts';
import type { PeerConnection, PendingReply } from '../rpc/peer-connection.ts';
import { RECORD, SEGMENT_THRESHOLD_BYTES } from '../rpc/records.ts';
import type { Transferable } from '../serialization/transferable.ts';
import { decodeError, encodeError } from '../serialization/error-codec.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

interface ExchangeCore {
  readonly runtime: RefOwnerRuntime;
  readonly clock: Clock;
  readonly address: ProcessAddress;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  receivePayload(received: Uint8Array | unknown[], sender: ProcessId): Payload;
  callStarted(): void;
  callFinished(): void;
}

/** A borrower that passed a ref on says goodbye only after the next one had time to say hello. */
const RELEASE_DELAY_MS = 2_000;

/**
 * How refs cross processes: the owner answers fetches and keeps what is borrowed, a borrower announces itself as soon
 * as it sees a ref, fetches once when somebody wants the value, and releases when the last ref is collected.
 */
export class ObjectExchange {
  readonly table = new ObjectTable();
  readonly #core: ExchangeCore;
  /** Borrowed refs by id: one ref per object in this process, so that it is fetched once. */
  readonly #borrowed = new Map<ObjectId, { ref: WeakRef<AnyObjectRef>; received: number }>();
  /** Who sent the value that is being decoded now. */
  #sender: ProcessId | undefined;
  readonly #fetching = new Set<AnyObjectRef>();
  readonly #releases = new Map<ProcessAddress, Set<ObjectId>>();
  readonly #collected = new FinalizationRegistry<{ id: ObjectId; owner: ProcessAddress }>(
    ({ id, owner }) => {
      if (this.#borrowed.get(id)?.ref.deref() === undefined) this.#scheduleRelease(id, owner);
    },
  );

  constructor(core: ExchangeCore) {
    this.#core = core;
  }

  // ── borrower ─────────────────────────────────────────────────────────────────────────────────────────────
  /** Decodes something that `sender` sent: what it lends us of its own needs no announcement. */
  receivingFrom<T>(sender: ProcessId, decode: () => T): T {
    this.#sender = sender;
    try {
      return decode();
    } finally {
      this.#sender = undefined;
    }
  }

  revive(id: ObjectId, owner: ProcessAddress): AnyObjectRef {
    if (owner.processId === this.#core.address.processId) return this.table.find(id);
    const known = this.#borrowed.get(id);
    const knownRef = known?.ref.deref();
    const ref = knownRef ?? this.#newBorrowed(id, owner);
    const isDelivery = this.#sender !== undefined || knownRef === undefined;
    this.#borrowed.set(id, {
      ref: new WeakRef(ref),
      received: (known?.received ?? 0) + (isDelivery ? 1 : 0),
    });
    if (isDelivery && this.#sender !== owner.processId) this.#announce(ref, id, owner);
    return ref;
  }

  #newBorrowed(id: ObjectId, owner: ProcessAddress): AnyObjectRef {
    const ref: AnyObjectRef = new ObjectRef<unknown>(this.#core.runtime);
    ref.objectId = id;
    ref.owner = owner;
    this.#collected.register(ref, { id, owner });
    return ref;
  }

  #announce(ref: AnyObjectRef, id: ObjectId, owner: ProcessAddress): void {
    this.#core.connect(owner).then(
      (connection) => connection.channel.send([RECORD.borrow, [id]]),
      (error: unknown) => ref.reject(ownerGone(id, owner, error)),
    );
  }

  fetch(ref: AnyObjectRef): void {
    const { owner } = ref;
    if (owner === undefined || this.#fetching.has(ref) || ref.state !== REF_STATE.pending) return;
    this.#fetching.add(ref);
    this.#core.callStarted();
    const done = (): void => {
      if (this.#fetching.delete(ref)) this.#core.callFinished();
    };
    const reply: PendingReply = {
      onResult: (value) => {
        done();
        ref.resolve(
          typeof value === 'object' && value !== null
            ? this.#core.receivePayload(value as Uint8Array | unknown[], owner.processId)
            : (value as string),
        );
      },
      onFailure: (encodedError) => {
        done();
        ref.reject(decodeError(encodedError));
      },
      onStream: noStream,
      onItem: noStream,
      onEnd: noStream,
      onLost: (reason) => {
        done();
        ref.reject(ownerGone(ref.id, owner, reason));
      },
    };
    this.#core.connect(owner).then(
      (connection) => connection.channel.send([RECORD.fetch, connection.expect(reply), ref.id]),
      (error: unknown) => reply.onLost(error as MantaError),
    );
  }

  #scheduleRelease(id: ObjectId, owner: ProcessAddress): void {
    const batch = this.#releases.get(owner);
    if (batch !== undefined) {
      batch.add(id);
      return;
    }
    this.#releases.set(owner, new Set([id]));
    this.#core.clock.after(RELEASE_DELAY_MS, () => this.#sendReleases(owner), { unref: true });
  }

  #sendReleases(owner: ProcessAddress): void {
    const released: [ObjectId, number][] = [];
    for (const id of this.#releases.get(owner) ?? []) {
      const known = this.#borrowed.get(id);
      if (known === undefined || known.ref.deref() !== undefined) continue;
      this.#borrowed.delete(id);
      released.push([id, known.received]);
    }
    this.#releases.delete(owner);
    if (released.length === 0) return;
    this.#core.connect(owner).then(
      (connection) => connection.channel.send([RECORD.release, released]),
      () => undefined, // The owner is gone, and its objects with it.
    );
  }

  // ── owner ────────────────────────────────────────────────────────────────────────────────────────────────
  /** Handles the records of this part; false for those of others. */
  receive(channel: Channel, record: ChannelRecord): boolean {
    switch (record[0]) {
      case RECORD.fetch:
        this.#answerFetch(channel, record[1] as number, record[2]);
        return true;
      case RECORD.borrow:
        for (const id of idsOf(record[1])) this.table.borrow(id, channel.peer.processId);
        return true;
      case RECORD.release:
        for (const [id, times] of releasesOf(record[1]))
          this.table.release(id, channel.peer.processId, times);
        return true;
      default:
        return false;
    }
  }

  /** The refs of ours in a value that goes to `borrower`. */
  lendAll(transferables: readonly Transferable[], borrower: ProcessId): void {
    for (const item of transferables)
      if (isObjectRef(item) && item.owner === undefined) this.table.lend(item, borrower);
  }

  peerGone(processId: ProcessId): void {
    this.table.releaseAllOf(processId);
  }

  #answerFetch(channel: Channel, call: number, id: unknown): void {
    try {
      const ref = this.table.find(objectId(id));
      ref.addWaiter({
        settled: (settled) => {
          if (settled.content instanceof Payload)
            this.lendAll(settled.content.transferables, channel.peer.processId);
          sendContent(channel, call, settled);
        },
      });
    } catch (error) {
      channel.send([RECORD.failure, call, encodeError(error)]);
    }
  }
}

function sendContent(channel: Channel, call: number, ref: AnyObjectRef): void {
  if (ref.state === REF_STATE.failed) {
    channel.send([RECORD.failure, call, encodeError(ref.content)]);
  } else if (
    ref.content instanceof Payload &&
    ref.content.bytes.byteLength >= SEGMENT_THRESHOLD_BYTES
  ) {
    channel.send([RECORD.resultSegment, call], [ref.content.bytes]);
  } else {
    channel.send([
      RECORD.result,
      call,
      ref.content instanceof Payload ? recordForm(ref.content) : ref.content,
    ]);
  }
}

function ownerGone(id: string, owner: ProcessAddress, cause: unknown): OwnerDiedError {
  return new OwnerDiedError(
    `The owner of object ${id}, process ${owner.processId}, is gone or cannot be reached.`,
    {
      cause,
    },
  );
}

function objectId(value: unknown): ObjectId {
  const id = parseId('object', value);
  if (id === undefined) throw new ProtocolError('A record about an object without an object id.');
  return id;
}

function idsOf(value: unknown): ObjectId[] {
  if (!Array.isArray(value))
    throw new ProtocolError('A record about objects without a list of ids.');
  return value.map(objectId);
}

function releasesOf(value: unknown): [ObjectId, number][] {
  if (!Array.isArray(value)) throw new ProtocolError('A release without a list.');
  return value.map((entry: unknown) => {
    const [id, times] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof times !== 'number') throw new ProtocolError('A release without a count.');
    return [objectId(id), times];
  });
}

function noStream(): never {
  throw new ProtocolError('A fetch was answered by a stream.');
}
