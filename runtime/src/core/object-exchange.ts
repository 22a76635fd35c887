import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { OwnerDiedError, ProtocolError, type MantaError } from '../errors/errors.ts';
import { parseId, type ObjectId, type ProcessId } from '../ids.ts';
import { ObjectRef, REF_STATE, type AnyObjectRef, type RefOwnerRuntime } from '../objects/object-ref.ts';
import { ObjectTable } from '../objects/object-table.ts';
import { Payload } from '../objects/payload.ts';
import type { PeerConnection, PendingReply } from '../rpc/peer-connection.ts';
import { RECORD, SEGMENT_THRESHOLD_BYTES } from '../rpc/records.ts';
import { decodeError, encodeError } from '../serialization/error-codec.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

interface ExchangeCore {
  readonly runtime: RefOwnerRuntime;
  readonly clock: Clock;
  readonly address: ProcessAddress;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  receivePayload(bytes: Uint8Array): Payload;
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
  readonly #borrowed = new Map<ObjectId, WeakRef<AnyObjectRef>>();
  readonly #fetching = new Set<AnyObjectRef>();
  readonly #releases = new Map<ProcessAddress, ObjectId[]>();
  readonly #collected = new FinalizationRegistry<{ id: ObjectId; owner: ProcessAddress }>(({ id, owner }) => {
    if (this.#borrowed.get(id)?.deref() === undefined) this.#scheduleRelease(id, owner);
  });

  constructor(core: ExchangeCore) {
    this.#core = core;
  }

  // ── borrower ─────────────────────────────────────────────────────────────────────────────────────────────
  revive(id: ObjectId, owner: ProcessAddress): AnyObjectRef {
    if (owner.processId === this.#core.address.processId) return this.table.find(id);
    const known = this.#borrowed.get(id)?.deref();
    if (known !== undefined) return known;
    const ref: AnyObjectRef = new ObjectRef<unknown>(this.#core.runtime);
    ref.objectId = id;
    ref.owner = owner;
    this.#borrowed.set(id, new WeakRef(ref));
    this.#collected.register(ref, { id, owner });
    this.#core.connect(owner).then(
      (connection) => connection.channel.send([RECORD.borrow, [id]]),
      (error: unknown) => ref.reject(ownerGone(id, owner, error)),
    );
    return ref;
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
        ref.resolve(value instanceof Uint8Array ? this.#core.receivePayload(value) : (value as string));
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
    this.#borrowed.delete(id);
    const batch = this.#releases.get(owner);
    if (batch !== undefined) {
      batch.push(id);
      return;
    }
    this.#releases.set(owner, [id]);
    this.#core.clock.after(RELEASE_DELAY_MS, () => this.#sendReleases(owner), { unref: true });
  }

  #sendReleases(owner: ProcessAddress): void {
    const ids = (this.#releases.get(owner) ?? []).filter((id) => this.#borrowed.get(id)?.deref() === undefined);
    this.#releases.delete(owner);
    if (ids.length === 0) return;
    this.#core.connect(owner).then(
      (connection) => connection.channel.send([RECORD.release, ids]),
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
        for (const id of idsOf(record[1])) this.table.release(id, channel.peer.processId);
        return true;
      default:
        return false;
    }
  }

  peerGone(processId: ProcessId): void {
    this.table.releaseAllOf(processId);
  }

  #answerFetch(channel: Channel, call: number, id: unknown): void {
    try {
      const ref = this.table.find(objectId(id));
      ref.addWaiter({ settled: (settled) => sendContent(channel, call, settled) });
    } catch (error) {
      channel.send([RECORD.failure, call, encodeError(error)]);
    }
  }
}

function sendContent(channel: Channel, call: number, ref: AnyObjectRef): void {
  if (ref.state === REF_STATE.failed) {
    channel.send([RECORD.failure, call, encodeError(ref.content)]);
  } else if (ref.content instanceof Payload && ref.content.bytes.byteLength >= SEGMENT_THRESHOLD_BYTES) {
    channel.send([RECORD.resultSegment, call], [ref.content.bytes]);
  } else {
    channel.send([RECORD.result, call, ref.content instanceof Payload ? ref.content.bytes : ref.content]);
  }
}

function ownerGone(id: string, owner: ProcessAddress, cause: unknown): OwnerDiedError {
  return new OwnerDiedError(`The owner of object ${id}, process ${owner.processId}, is gone or cannot be reached.`, {
    cause,
  });
}

function objectId(value: unknown): ObjectId {
  const id = parseId('object', value);
  if (id === undefined) throw new ProtocolError('A record about an object without an object id.');
  return id;
}

function idsOf(value: unknown): ObjectId[] {
  if (!Array.isArray(value)) throw new ProtocolError('A record about objects without a list of ids.');
  return value.map(objectId);
}

function noStream(): never {
  throw new ProtocolError('A fetch was answered by a stream.');
}
