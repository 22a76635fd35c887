import type { Channel, ChannelRecord } from '../channel/channel.ts';
import type { SegmentSink } from '../channel/frame.ts';
import { ProtocolError, type MantaError } from '../errors/errors.ts';
import { parseId, type ActorId } from '../ids.ts';
import type { CallerRecord } from './caller-record.ts';
import { NumberTable } from './number-table.ts';
import { RECORD } from './records.ts';

/** Whether records of this kind are no answers to calls, but about objects and their storage (rpc/records.ts). */
const isAboutObjects = (kind: number): boolean =>
  kind >= RECORD.fetched && kind <= RECORD.storeDurable;

/** Takes a chunk as its bytes come. */
export interface ChunkSink {
  /** `piece` is only lent. */
  write(piece: Uint8Array): void;
  end(checksum: unknown): void;
}

/** What waits for the reply to one numbered record. */
export interface PendingReply {
  onResult(value: unknown): void;
  /** `ran`: the callee ran user code that threw; else the call was refused before it ran. */
  onFailure(encodedError: Uint8Array, ran: boolean): void;
  onStream(): void;
  onItem(value: unknown): void;
  onEnd(encodedError: Uint8Array | undefined): void;
  /** Only who asked for bytes of a blob is answered with them. */
  onChunk?(bytes: Uint8Array, checksum: unknown): void;
  /** The same, piece by piece as they come: the bytes that `onChunk` would get go to a sink. */
  chunkSink?(bytes: number): ChunkSink | undefined;
  /** A task worker gives the task back (`RETURNED`). */
  onReturned?(reason: number): void;
  /** Only who fetched objects is answered with some of them. */
  onFetched?(entries: unknown, segments: readonly Uint8Array[], firstSegment: number): void;
  /** The connection is gone; whether the call ran is not known. */
  onLost(reason: MantaError): void;
}

/** The calling half of a channel: numbers what is sent and hands each reply to who waits for it. */
export class PeerConnection {
  readonly channel: Channel;
  readonly #pending = new NumberTable<PendingReply>();
  #nextCall = 1;
  #nextPort = 1;
  #closed: MantaError | undefined;
  #onRequest: ((record: ChannelRecord) => void) | undefined;
  /** Told of values that come for a call that nobody waits for any more: they may hold refs, or be stored. */
  onUnclaimed: ((value: unknown) => void) | undefined;
  /** An actor that lives there says that its life has begun. */
  onBegun: ((actorId: ActorId, incarnation: number) => void) | undefined;
  /** What those whose actors are called learn of this process (rpc/caller-record.ts). */
  callerRecord: (() => CallerRecord) | undefined;
  readonly #lostListeners = new Set<(reason: MantaError) => void>();

  constructor(channel: Channel) {
    this.channel = channel;
    channel.onRecord((record, segments) => this.#receive(record, segments));
    channel.onSegment((record, bytes) => this.#sinkFor(record, bytes));
    channel.onClose((reason) => this.#lose(reason));
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** What waits for a reply. */
  pending(): PendingReply[] {
    return this.#pending.values();
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Called once when the connection goes, before its pending calls are told. */
  onLost(listener: (reason: MantaError) => void): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  /** Takes what the agent of this node asks of a process that is attached to its store. */
  onRequest(handler: (record: ChannelRecord) => void): void {
    this.#onRequest = handler;
  }

  openPort(actorId: string, incarnation: number): number {
    const port = this.#nextPort++;
    this.channel.send([RECORD.open, port, actorId, incarnation, this.callerRecord?.() ?? null]);
    return port;
  }

  closePort(port: number): void {
    this.channel.send([RECORD.closePort, port]);
  }

  /**
   * Reserves a call number for `reply`; the caller sends the record. On a connection that is lost already the reply is
   * told so in the next microtask.
   */
  expect(reply: PendingReply): number {
    const call = this.#nextCall++;
    this.expectAs(call, reply);
    return call;
  }

  /** As `expect`, under a number that the caller has chosen (from 2 ** 30: the numbers of tasks). */
  expectAs(call: number, reply: PendingReply): void {
    this.#pending.set(call, reply);
    if (this.#closed !== undefined) queueMicrotask(() => this.#refuse(call, reply));
  }

  #refuse(call: number, reply: PendingReply): void {
    if (this.#closed === undefined || this.#pending.get(call) !== reply) return;
    this.#pending.delete(call);
    reply.onLost(this.#closed);
  }

  /** Takes back those that wait for a reply and match, in the order in which they were sent; late replies are ignored. */
  takeBack<R extends PendingReply>(matches: (reply: PendingReply) => reply is R): R[] {
    const taken: R[] = [];
    for (const [call, reply] of this.#pending.entries()) {
      if (!matches(reply)) continue;
      this.#pending.delete(call);
      taken.push(reply);
    }
    return taken;
  }

  /** Nobody waits any more; a late reply is ignored. */
  forget(call: number): void {
    this.#pending.delete(call);
  }

  #receive(record: ChannelRecord, segments: readonly Uint8Array[]): void {
    const call = record[1] as number;
    const reply = this.#pending.get(call);
    if (reply === undefined || isAboutObjects(record[0] as number)) {
      this.#receiveOther(record, segments, reply);
      return;
    }
    switch (record[0]) {
      case RECORD.result:
        this.#pending.delete(call);
        reply.onResult(record[2]);
        return;
      case RECORD.resultSegment:
        this.#pending.delete(call);
        reply.onResult(segmentOf(record[2], segments));
        return;
      case RECORD.failure:
      case RECORD.refused:
        this.#pending.delete(call);
        reply.onFailure(bytesOf(record[2]), record[0] === RECORD.failure);
        return;
      case RECORD.returned:
        this.#pending.delete(call);
        reply.onReturned?.(Number(record[2]));
        return;
      case RECORD.stream:
        reply.onStream();
        return;
      case RECORD.item:
        reply.onItem(record[2]);
        return;
      case RECORD.itemSegment:
        reply.onItem(segmentOf(record[2], segments));
        return;
      case RECORD.end:
        this.#pending.delete(call);
        reply.onEnd(record[2] == null ? undefined : bytesOf(record[2]));
        return;
      default:
        throw new ProtocolError(`Channel record of unknown kind ${String(record[0])}.`);
    }
  }

  /** Records that are no replies to calls, and replies that nobody waits for any more. */
  #receiveOther(
    record: ChannelRecord,
    segments: readonly Uint8Array[],
    reply: PendingReply | undefined,
  ): void {
    switch (record[0]) {
      case RECORD.storeRelease:
      case RECORD.storeReclaim:
      case RECORD.storeCandidates:
      case RECORD.storeEvict:
        this.#onRequest?.(record);
        return;
      case RECORD.begun:
        this.#receiveBegun(record);
        return;
      case RECORD.fetched:
        reply?.onFetched?.(record[2], segments, Number(record[3] ?? 0));
        return;
      case RECORD.blobChunk:
        if (reply === undefined) return;
        this.#pending.delete(record[1] as number);
        if (reply.onChunk === undefined) throw new ProtocolError('A chunk that nobody asked for.');
        reply.onChunk(segmentOf(record[3], segments), record[2]);
        return;
      case RECORD.result:
      case RECORD.item:
        this.onUnclaimed?.(record[2]);
        return;
      case RECORD.resultSegment:
      case RECORD.itemSegment:
        this.onUnclaimed?.(segmentOf(record[2], segments));
        return;
    }
  }

  #receiveBegun([, , actorId, incarnation]: ChannelRecord): void {
    const id = parseId('actor', actorId);
    if (id === undefined || typeof incarnation !== 'number')
      throw new ProtocolError('A malformed begun record.');
    this.onBegun?.(id, incarnation);
  }

  #sinkFor(record: ChannelRecord, bytes: number): SegmentSink | undefined {
    const [kind, call, checksum] = record;
    const sink =
      kind === RECORD.blobChunk ? this.#pending.get(call as number)?.chunkSink?.(bytes) : undefined;
    if (sink === undefined) return undefined;
    return {
      write: (piece) => sink.write(piece),
      end: () => {
        this.#pending.delete(call as number);
        sink.end(checksum);
      },
    };
  }

  #lose(reason: MantaError): void {
    this.#closed = reason;
    for (const listener of this.#lostListeners) listener(reason);
    this.#lostListeners.clear();
    const lost = this.pending();
    this.#pending.clear();
    for (const reply of lost) reply.onLost(reason);
  }
}

function segmentOf(index: unknown, segments: readonly Uint8Array[]): Uint8Array {
  const segment = segments[index as number];
  if (segment === undefined)
    throw new ProtocolError('Channel record that names a segment its frame does not have.');
  return segment;
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new ProtocolError('Channel record without the encoded error it must carry.');
}
