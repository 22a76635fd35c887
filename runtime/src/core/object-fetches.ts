import type { Channel } from '../channel/channel.ts';
import { ClusterUnavailableError, ProtocolError, type MantaError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import { REF_STATE, type AnyObjectRef, type Content } from '../objects/object-ref.ts';
import { Payload, recordForm } from '../objects/payload.ts';
import { StoredValue, type StoredRecord } from '../objects/stored-value.ts';
import type { PeerConnection, PendingReply } from '../rpc/peer-connection.ts';
import { RECORD, SEGMENT_THRESHOLD_BYTES } from '../rpc/records.ts';
import { decodeError, encodeError } from '../serialization/error-codec.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

/** What an entry of `fetched` gives: [index in the fetch, kind, what]. */
export const FETCHED = { value: 0, failure: 1, segment: 2 } as const;
type Entry = [index: number, kind: number, what: unknown];

/** Ids in one record. */
const FETCH_MAX = 20_000;
const ENTRIES_MAX = 4_096;
const ENTRY_BYTES_MAX = 1024 * 1024;

/** Connections that break so soon after a question, one after another, are not going to last. */
const LOST_SOON_MS = 10_000;
const LOST_SOON_MAX = 6;
/** Before the second of them is replaced; twice as long before each that follows. */
const AGAIN_DELAY_MS = 100;

export interface FetcherOptions {
  readonly clock: Clock;
  connect(owner: ProcessAddress): Promise<PeerConnection>;
  receive(value: Uint8Array | unknown[], sender: ProcessId): Payload | StoredValue;
  /** The owner is gone. */
  ownerDied(owner: ProcessAddress, cause: unknown): MantaError;
  callStarted(): void;
  callFinished(): void;
}

/** The borrower's half: all refs of one owner that are wanted in one turn go as one record. */
export class ObjectFetcher {
  readonly #options: FetcherOptions;
  readonly #wanted = new Map<ProcessId, { owner: ProcessAddress; refs: AnyObjectRef[] }>();
  readonly #underWay = new Set<AnyObjectRef>();

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** @param ref a borrowed one. */
  fetch(ref: AnyObjectRef): void {
    const owner = ref.owner as ProcessAddress;
    if (ref.state !== REF_STATE.pending || this.#underWay.has(ref)) return;
    this.#underWay.add(ref);
    if (this.#underWay.size === 1) this.#options.callStarted();
    const batch = this.#wanted.get(owner.processId);
    if (batch !== undefined) {
      batch.refs.push(ref);
      return;
    }
    this.#wanted.set(owner.processId, { owner, refs: [ref] });
    process.nextTick(() => this.#send(owner));
  }

  #send(owner: ProcessAddress): void {
    const refs = this.#wanted.get(owner.processId)?.refs ?? [];
    this.#wanted.delete(owner.processId);
    for (let first = 0; first < refs.length; first += FETCH_MAX)
      this.#request(owner, refs.slice(first, first + FETCH_MAX), 0);
  }

  /** `lostSoon`: connections that broke soon after the same question, one after another. */
  #request(owner: ProcessAddress, refs: AnyObjectRef[], lostSoon: number): void {
    this.#options.connect(owner).then(
      (connection) => {
        const askedAt = this.#options.clock.now();
        const again = (rest: readonly AnyObjectRef[], reason: MantaError): void => {
          const isInVain = rest.length === refs.length;
          const isSoon = isInVain && this.#options.clock.now() - askedAt < LOST_SOON_MS;
          this.#again(owner, rest, { lostSoon: isSoon ? lostSoon + 1 : 0, reason });
        };
        const reply = new FetchReply(this, { connection, owner, refs, again });
        reply.number = connection.expect(reply);
        connection.channel.send([RECORD.fetch, reply.number, refs.map(({ id }) => id)]);
      },
      (error: unknown) => {
        const reason = this.#options.ownerDied(owner, error);
        for (const ref of refs) this.fail(ref, reason);
      },
    );
  }

  /** The connection was lost: if the owner lives, those that were not answered are asked for again. */
  #again(
    owner: ProcessAddress,
    refs: readonly AnyObjectRef[],
    { lostSoon, reason }: { lostSoon: number; reason: MantaError },
  ): void {
    const rest = refs.filter((ref) => this.#underWay.has(ref));
    if (rest.length === 0) return;
    if (lostSoon >= LOST_SOON_MAX) {
      const error = unansweredError(owner, reason);
      for (const ref of rest) this.fail(ref, error);
    } else if (lostSoon <= 1) {
      this.#request(owner, rest, lostSoon);
    } else {
      const delayMs = AGAIN_DELAY_MS * 2 ** (lostSoon - 2);
      this.#options.clock.after(delayMs, () => this.#request(owner, rest, lostSoon));
    }
  }

  resolve(ref: AnyObjectRef, value: unknown, sender: ProcessId): void {
    const content: Content =
      typeof value === 'object' && value !== null
        ? this.#options.receive(value as Uint8Array | unknown[], sender)
        : (value as Content);
    this.#done(ref);
    ref.resolve(content);
  }

  fail(ref: AnyObjectRef, error: unknown): void {
    this.#done(ref);
    ref.reject(error);
  }

  #done(ref: AnyObjectRef): void {
    if (this.#underWay.delete(ref) && this.#underWay.size === 0) this.#options.callFinished();
  }
}

function unansweredError(owner: ProcessAddress, cause: MantaError): ClusterUnavailableError {
  return new ClusterUnavailableError(
    `The owner of the object, process ${owner.processId}, lives, but ${LOST_SOON_MAX} connections with it ` +
      `broke before it had answered: ${cause.message}`,
    { cause },
  );
}

interface FetchReplyOptions {
  connection: PeerConnection;
  owner: ProcessAddress;
  refs: AnyObjectRef[];
  /** Those that were not answered when the connection was lost. */
  again(refs: readonly AnyObjectRef[], reason: MantaError): void;
}

class FetchReply implements PendingReply {
  number = 0;
  readonly #fetcher: ObjectFetcher;
  readonly #options: FetchReplyOptions;
  readonly #refs: (AnyObjectRef | undefined)[];
  #missing: number;

  constructor(fetcher: ObjectFetcher, options: FetchReplyOptions) {
    this.#fetcher = fetcher;
    this.#options = options;
    this.#refs = options.refs;
    this.#missing = options.refs.length;
  }

  onFetched(entries: unknown, segments: readonly Uint8Array[], firstSegment: number): void {
    if (!Array.isArray(entries)) throw new ProtocolError('Fetched objects without a list.');
    for (const entry of entries as Entry[]) this.#take(entry, segments, firstSegment);
    if (this.#missing === 0) this.#options.connection.forget(this.number);
  }

  #take(entry: Entry, segments: readonly Uint8Array[], firstSegment: number): void {
    const [index, kind, what] = Array.isArray(entry) ? entry : ([] as never);
    const ref = this.#refs[index];
    if (ref === undefined) throw new ProtocolError('A fetched object that was not asked for.');
    this.#refs[index] = undefined;
    this.#missing -= 1;
    const sender = this.#options.owner.processId;
    if (kind === FETCHED.failure) this.#fetcher.fail(ref, decodeError(what as Uint8Array));
    else if (kind === FETCHED.value) this.#fetcher.resolve(ref, what, sender);
    else this.#fetcher.resolve(ref, segmentAt(segments, firstSegment + (what as number)), sender);
  }

  onFailure(encodedError: Uint8Array): void {
    const error = decodeError(encodedError);
    for (const ref of this.#refs) if (ref !== undefined) this.#fetcher.fail(ref, error);
  }

  onLost(reason: MantaError): void {
    const rest = this.#refs.filter((ref) => ref !== undefined);
    this.#options.again(rest, reason);
  }

  onResult(): void {
    notFetched();
  }
  onStream(): void {
    notFetched();
  }
  onItem(): void {
    notFetched();
  }
  onEnd(): void {
    notFetched();
  }
}

function notFetched(): never {
  throw new ProtocolError('A fetch was answered by something else.');
}

function segmentAt(segments: readonly Uint8Array[], index: number): Uint8Array {
  const segment = segments[index];
  if (segment === undefined) throw new ProtocolError('A fetched object without its segment.');
  return segment;
}

export interface AnswererOptions {
  /** @throws ObjectFreedError, ObjectLostError */
  find(id: ObjectId): AnyObjectRef;
  describe(stored: StoredValue): StoredRecord;
  lend(pins: readonly Transferable[], borrower: ProcessId): void;
}

/** The owner's half: what is ready goes at once, the rest as it comes, all of one turn in one record. */
export class FetchAnswers {
  readonly #options: AnswererOptions;
  readonly #channel: Channel;
  readonly #call: number;
  #entries: Entry[] = [];
  #segments: Uint8Array[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(options: AnswererOptions, channel: Channel, call: number) {
    this.#options = options;
    this.#channel = channel;
    this.#call = call;
  }

  answer(ids: readonly ObjectId[]): void {
    ids.forEach((id, index) => {
      try {
        const ref = this.#options.find(id);
        if (ref.state === REF_STATE.pending)
          ref.addWaiter({ settled: (settled) => this.#settled(index, settled) });
        else this.#settled(index, ref);
      } catch (error) {
        this.#addFailure(index, error);
      }
    });
  }

  #settled(index: number, ref: AnyObjectRef): void {
    const { content, state } = ref;
    if (state === REF_STATE.failed) {
      this.#addFailure(index, content);
    } else if (content instanceof StoredValue) {
      this.#options.lend(content.transferables, this.#channel.peer.processId);
      const record = this.#options.describe(content);
      this.#add([index, FETCHED.value, record], record[2]?.byteLength ?? 0);
    } else if (content instanceof Payload) {
      this.#options.lend(content.transferables, this.#channel.peer.processId);
      this.#addPayload(index, content);
    } else {
      this.#add([index, FETCHED.value, content], typeof content === 'string' ? content.length : 0);
    }
  }

  #addFailure(index: number, error: unknown): void {
    const encoded = encodeError(error);
    this.#add([index, FETCHED.failure, encoded], encoded.byteLength);
  }

  #addPayload(index: number, payload: Payload): void {
    const { byteLength } = payload.bytes;
    if (byteLength < SEGMENT_THRESHOLD_BYTES) {
      this.#add([index, FETCHED.value, recordForm(payload)], byteLength);
    } else {
      this.#segments.push(payload.bytes);
      this.#add([index, FETCHED.segment, this.#segments.length - 1], byteLength);
    }
  }

  #add(entry: Entry, bytes: number): void {
    this.#entries.push(entry);
    this.#bytes += bytes;
    if (this.#entries.length >= ENTRIES_MAX || this.#bytes >= ENTRY_BYTES_MAX) {
      this.#flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      process.nextTick(() => {
        this.#isScheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#entries.length === 0) return;
    const record = [RECORD.fetched, this.#call, this.#entries];
    if (this.#segments.length > 0) this.#channel.send(record, this.#segments);
    else this.#channel.send(record);
    this.#entries = [];
    this.#segments = [];
    this.#bytes = 0;
  }
}
