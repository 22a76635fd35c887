import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ObjectLostError, OwnerDiedError, type MantaError } from '../errors/errors.ts';
import type { BlobId, ObjectId, ProcessId } from '../ids.ts';
import { BlobOwner } from '../objects/blob-owner.ts';
import { DurableRef, ownerDiedError } from '../objects/durable-ref.ts';
import { HeapBlobs } from '../objects/heap-blobs.ts';
import {
  isObjectRef,
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import type { Receipts } from '../objects/borrower.ts';
import { ObjectTable } from '../objects/object-table.ts';
import type { Payload } from '../objects/payload.ts';
import { StoredValue, type StoredRecord } from '../objects/stored-value.ts';
import { ask } from '../rpc/ask.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { callFrom, countFrom, idsFrom } from '../rpc/record-fields.ts';
import { RECORD } from '../rpc/records.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { bequeath } from './bequeath.ts';
import { BorrowedRefs } from './borrowed-refs.ts';
import { wordsFrom, type HeardWord } from './exchange-records.ts';
import type { NodeStore } from './node-store.ts';
import { FetchAnswers, ObjectFetcher } from './object-fetches.ts';
import { HeardWords } from './owner-words.ts';
import { PeerPresence } from './peer-presence.ts';
import { SilentBorrowers } from './silent-borrowers.ts';

export interface ExchangeCore {
  readonly runtime: RefOwnerRuntime;
  readonly clock: Clock;
  readonly address: ProcessAddress;
  readonly store: Pick<NodeStore, 'releaseAt'>;
  connect(address: ProcessAddress): Promise<PeerConnection>;
  receivePayload(received: Uint8Array | unknown[], sender: ProcessId): Payload | StoredValue;
  describe(stored: StoredValue): StoredRecord;
  /** Drops the value of a ref of ours, whoever holds refs. */
  free(ref: AnyObjectRef): void;
  /** Nobody holds this ref of ours any more. */
  letGo(ref: AnyObjectRef): void;
  callStarted(): void;
  callFinished(): void;
  /** This process holds one more ref of others. */
  noteHeld(): void;
}

/** What a dead process had passed on in its last moment arrives within this time. */
const LAST_WORDS_MS = 1_000;
/** Ids in one question. */
const HOLDS_MAX = 20_000;

/**
 * How refs cross processes. The owner counts who borrows each object, by what it sends out itself and by what
 * borrowers say that they pass on. So a borrower that lets go after passing a ref on has told the owner of the next
 * one before, and nothing that somebody can still reach is ever freed, however slow the messages are.
 */
export class ObjectExchange {
  readonly table: ObjectTable;
  readonly blobs: BlobOwner;
  readonly heapBlobs = new HeapBlobs();
  readonly borrowed: BorrowedRefs;
  /**
   * An object of ours whose value is gone for good. Undefined: it is being made again (the ref then gets its new value
   * by `resolve` or `reject`); else what it fails with.
   */
  onLost: (ref: AnyObjectRef, reason: string) => MantaError | undefined = lostForGood;
  readonly #core: ExchangeCore;
  readonly #fetcher: ObjectFetcher;
  /** Refs of ours whose value is stored. */
  readonly #stored = new Map<BlobId, WeakRef<AnyObjectRef>>();
  /** Who sent the value that is being decoded now. */
  #sender: ProcessId | undefined;
  readonly #peers: PeerPresence;
  readonly #silent: SilentBorrowers;
  readonly #heard = new HeardWords();
  #isClosed = false;

  constructor(core: ExchangeCore) {
    this.#core = core;
    this.table = new ObjectTable(core.address.processId, (ref) => core.letGo(ref));
    this.blobs = new BlobOwner({
      connect: (agent) => core.connect(agent),
      release: (agent, blobId) => core.store.releaseAt(agent, blobId),
      onLost: (blobId, reason) => this.#blobLost(blobId, reason),
    });
    this.borrowed = new BorrowedRefs(core.clock, {
      connect: (owner) => core.connect(owner),
      onOwnerGone: (owner) => this.#processDied(owner),
      addressOf: (processId) => this.#peers.addressOf(processId),
    });
    this.#peers = new PeerPresence({
      clock: core.clock,
      connect: (address) => core.connect(address),
      matters: (processId) =>
        this.borrowed.ownerOf(processId) !== undefined || this.table.hasBorrower(processId),
      onDied: (processId) => this.#processDied(processId),
    });
    this.#silent = new SilentBorrowers({
      clock: core.clock,
      isSilent: (processId) => !this.#isClosed && this.table.awaitsWordOf(processId),
      visit: (address) => this.#askWhatItHolds(address),
      onDied: (processId) => this.#processDied(processId),
      onNotFound: (processId) => this.table.doubt(processId),
    });
    this.#fetcher = new ObjectFetcher({
      clock: core.clock,
      connect: (owner) => core.connect(owner),
      receive: (value, sender) => core.receivePayload(value, sender),
      ownerDied: (owner, cause) => {
        this.#processDied(owner.processId);
        return ownerGone(owner, cause);
      },
      callStarted: () => core.callStarted(),
      callFinished: () => core.callFinished(),
    });
  }

  // ── borrower ─────────────────────────────────────────────────────────────────────────────────────────────
  /** Decodes something that `sender` sent: the refs in it were counted by it. */
  receivingFrom<T>(sender: ProcessId, decode: () => T): T {
    const outer = this.#sender;
    this.#sender = sender;
    try {
      return decode();
    } finally {
      this.#sender = outer;
    }
  }

  revive(id: ObjectId, owner: ProcessAddress, isDurable: boolean): AnyObjectRef {
    const giver = this.#sender;
    if (owner.processId === this.#core.address.processId) return this.table.cameHome(id, giver);
    const known = this.borrowed.find(id);
    if (known !== undefined) {
      this.borrowed.received(id, owner.processId, giver);
      return known;
    }
    const ref: AnyObjectRef = isDurable
      ? new DurableRef<unknown>(this.#core.runtime)
      : new ObjectRef<unknown>(this.#core.runtime);
    ref.objectId = id;
    ref.owner = this.borrowed.add(ref, id, owner);
    this.borrowed.received(id, owner.processId, giver);
    this.#core.noteHeld();
    // A third process has counted us at the owner, unless it died before its word got there: so we say so, too.
    if (giver !== owner.processId) this.borrowed.announce(id, ref.owner);
    return ref;
  }

  fetch(ref: AnyObjectRef): void {
    if (ref.owner !== undefined) this.#fetcher.fetch(ref);
  }

  /** A borrowed ref whose blob could not be found: its owner says what became of it. */
  refetch(ref: AnyObjectRef): void {
    ref.reopen();
    this.fetch(ref);
  }

  // ── owner ────────────────────────────────────────────────────────────────────────────────────────────────
  /** Handles the records of this part; false for those of others. */
  receive(channel: Channel, record: ChannelRecord): boolean {
    const { processId } = channel.peer;
    this.#peers.heardOf(processId);
    switch (record[0]) {
      case RECORD.fetch:
        this.#answers(channel, record[1] as number).answer(idsFrom('object', record[2]));
        return true;
      case RECORD.borrow:
        this.#hear(channel, record);
        return true;
      case RECORD.holds: {
        const held = idsFrom('object', record[2]).filter((id) => this.borrowed.holds(id));
        channel.send([RECORD.result, record[1], held]);
        return true;
      }
      default:
        return this.blobs.receive(channel, record) || this.heapBlobs.receive(channel, record);
    }
  }

  /** What became of refs of ours at the sender: answered when it is noted, and noted once. */
  #hear(channel: Channel, [, call, number, said]: ChannelRecord): void {
    const { processId } = channel.peer;
    const words = wordsFrom(said);
    if (this.#heard.isNew(processId, countFrom(number, 'number of words')))
      for (const word of words) this.#note(processId, word);
    channel.send([RECORD.result, callFrom(call), null]);
  }

  #note(speaker: ProcessId, word: HeardWord): void {
    switch (word.kind) {
      case 'holds':
        for (const id of word.ids) this.table.borrow(id, speaker);
        break;
      case 'passedOn':
        this.#passedOn(speaker, word);
        break;
      case 'released':
        this.#released(speaker, word.releases);
        break;
      case 'freed':
        for (const id of word.ids) this.#free(id);
        break;
    }
  }

  #passedOn(giver: ProcessId, { ids, borrower, address }: HeardWord & { kind: 'passedOn' }): void {
    for (const id of ids) this.table.lentOn(id, borrower, giver);
    if (borrower !== this.#core.address.processId)
      this.#silent.expect(borrower, address ?? this.#peers.addressOf(borrower));
  }

  #released(borrower: ProcessId, releases: readonly [ObjectId, Receipts][]): void {
    let isMoreSent = false;
    for (const [id, receipts] of releases)
      if (this.table.release(id, borrower, receipts)) isMoreSent = true;
    if (isMoreSent) this.#silent.expect(borrower, this.#peers.addressOf(borrower));
  }

  async #askWhatItHolds(address: ProcessAddress): Promise<void> {
    const { processId } = address;
    const isSelf = processId === this.#core.address.processId;
    const connection = isSelf ? undefined : await this.#core.connect(address);
    const asked = this.table.questionsFor(processId, HOLDS_MAX);
    // What has come home here is not counted any more: what still is may have been lost on its way.
    const answer = connection === undefined ? [] : await ask(connection, RECORD.holds, asked);
    const held = new Set(idsFrom('object', answer));
    for (const id of asked) this.table.answered(id, processId, held.has(id));
  }

  #free(id: ObjectId): void {
    const ref = this.table.known(id);
    if (ref !== undefined) this.#core.free(ref);
  }

  #answers(channel: Channel, call: number): FetchAnswers {
    return new FetchAnswers(
      {
        find: (id) => this.table.find(id),
        describe: (stored) => this.#core.describe(stored),
        lend: (pins, borrower) => this.lendAll(pins, borrower),
      },
      channel,
      call,
    );
  }

  /** The refs in a value that goes to `borrower` are counted before it has arrived. */
  lendAll(transferables: readonly Transferable[], borrower: ProcessId): void {
    if (borrower === this.#core.address.processId) return;
    let ofOurs = false;
    for (const item of transferables) {
      if (!isObjectRef(item)) continue;
      if (item.owner === undefined) {
        this.table.lend(item, borrower);
        ofOurs = true;
      } else {
        this.borrowed.lentOn(item.id as ObjectId, item.owner, borrower);
      }
    }
    if (!ofOurs) return;
    // What goes to a process whose address nobody knows goes over a connection of its own: the end of that tells.
    const address = this.#peers.addressOf(borrower);
    if (address !== undefined || this.#peers.isLost(borrower))
      this.#silent.expect(borrower, address);
  }

  /** The user is done with a ref of ours that others borrow: the object goes on under another one. */
  bequeath(ref: AnyObjectRef): void {
    bequeath(ref, this.table, this.#core.runtime);
  }

  // ── loss ─────────────────────────────────────────────────────────────────────────────────────────────────
  noteStored(ref: AnyObjectRef, { blob, owner }: StoredValue): void {
    if (owner === undefined) this.#stored.set(blob.blobId, new WeakRef(ref));
  }

  forgetStored(blobId: BlobId): void {
    this.#stored.delete(blobId);
  }

  /** Refs of ours with stored values that somebody here holds, or that have not been collected yet. */
  *storedRefs(): Generator<AnyObjectRef> {
    for (const weak of this.#stored.values()) {
      const ref = weak.deref();
      if (ref !== undefined) yield ref;
    }
  }

  /** The last copy of a blob of ours is gone. */
  #blobLost(blobId: BlobId, reason: string): void {
    const ref = this.#stored.get(blobId)?.deref();
    this.#stored.delete(blobId);
    const { content } = ref ?? {};
    if (ref === undefined || !(content instanceof StoredValue)) return;
    if (content.blob.blobId !== blobId) return;
    this.lose(ref, reason);
  }

  /** `reason`: in words. */
  lose(ref: AnyObjectRef, reason: string): void {
    if (ref.state !== REF_STATE.ready || ref.owner !== undefined) return;
    const failure = this.onLost(ref, reason);
    if (failure === undefined) ref.reopen();
    else ref.lose(failure);
  }

  // ── deaths ───────────────────────────────────────────────────────────────────────────────────────────────
  /** How that process is reached, for the case that it loses its connection. */
  knowPeer(address: ProcessAddress): void {
    this.#peers.know(address);
  }

  /** A connection with that process, whoever opened it, has ended: either the process, or only the connection. */
  peerLost(processId: ProcessId): void {
    if (this.#isClosed) return;
    this.blobs.peerGone(processId);
    const owner = this.borrowed.ownerOf(processId);
    if (owner !== undefined) this.#peers.know(owner);
    this.#peers.connectionEnded(processId);
    this.#silent.expect(this.#core.address.processId, this.#core.address);
  }

  #processDied(processId: ProcessId): void {
    if (this.#isClosed) return;
    const owner = this.borrowed.ownerOf(processId);
    if (owner !== undefined) {
      const error = ownerGone(owner, undefined);
      for (const ref of this.borrowed.ownerDied(processId)) {
        const failure = ownerDiedError(ref, error);
        if (ref.content instanceof StoredValue) ref.lose(failure);
        else ref.reject(failure);
      }
    }
    this.#core.clock.after(LAST_WORDS_MS, () => this.table.releaseAllOf(processId), {
      unref: true,
    });
  }

  close(): void {
    this.#isClosed = true;
  }
}

function lostForGood(ref: AnyObjectRef, reason: string): ObjectLostError {
  return new ObjectLostError(`Every copy of object ${ref.id} is lost: ${reason}.`);
}

function ownerGone(owner: ProcessAddress, cause: unknown): OwnerDiedError {
  const message = `The owner of the object, process ${owner.processId}, is gone or cannot be reached.`;
  return new OwnerDiedError(message, cause === undefined ? undefined : { cause });
}
