import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ProtocolError, type MantaError } from '../errors/errors.ts';
import { RECORD } from './records.ts';

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
  /** A task worker gives the task back (`RETURNED`). */
  onReturned?(reason: number): void;
  /** The connection is gone; whether the call ran is not known. */
  onLost(reason: MantaError): void;
}

/** The calling half of a channel: numbers what is sent and hands each reply to who waits for it. */
export class PeerConnection {
  readonly channel: Channel;
  readonly #pending = new Map<number, PendingReply>();
  #nextCall = 1;
  #nextPort = 1;
  #closed: MantaError | undefined;
  readonly #lostListeners = new Set<(reason: MantaError) => void>();

  constructor(channel: Channel) {
    this.channel = channel;
    channel.onRecord((record, segments) => this.#receive(record, segments));
    channel.onClose((reason) => this.#lose(reason));
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** What waits for a reply. */
  pending(): Iterable<PendingReply> {
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

  openPort(actorId: string, incarnation: number): number {
    const port = this.#nextPort++;
    this.channel.send([RECORD.open, port, actorId, incarnation]);
    return port;
  }

  closePort(port: number): void {
    this.channel.send([RECORD.closePort, port]);
  }

  /** Reserves a call number for `reply`; the caller sends the record. */
  expect(reply: PendingReply): number {
    const call = this.#nextCall++;
    this.#pending.set(call, reply);
    return call;
  }

  /** As `expect`, under a number that the caller has chosen (from 2 ** 30: the numbers of tasks). */
  expectAs(call: number, reply: PendingReply): void {
    this.#pending.set(call, reply);
  }

  /** Takes back those that wait for a reply and match, in the order in which they were sent; late replies are ignored. */
  takeBack<R extends PendingReply>(matches: (reply: PendingReply) => reply is R): R[] {
    const taken: R[] = [];
    for (const [call, reply] of this.#pending) {
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
    if (reply === undefined) return;
    switch (record[0]) {
      case RECORD.result:
        this.#pending.delete(call);
        reply.onResult(record[2]);
        return;
      case RECORD.resultSegment:
        this.#pending.delete(call);
        reply.onResult(segmentOf(record[2], segments));
        return;
      case RECORD.blobChunk:
        this.#pending.delete(call);
        if (reply.onChunk === undefined) throw new ProtocolError('A chunk that nobody asked for.');
        reply.onChunk(segmentOf(record[3], segments), record[2]);
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

  #lose(reason: MantaError): void {
    this.#closed = reason;
    for (const listener of this.#lostListeners) listener(reason);
    this.#lostListeners.clear();
    const lost = [...this.#pending.values()];
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
