import type { MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { SegmentSink } from './frame.ts';

/** Who is at the other end, as it said in the authenticated handshake. */
export interface ChannelPeer {
  processId: ProcessId;
  role: 'driver' | 'host' | 'agent';
}

/**
 * An authenticated, ordered, two-way stream of records between two processes. All records sent in one turn of the
 * event loop leave as one frame. What a record means is decided by `rpc/`; the channel only carries it.
 */
export interface Channel {
  readonly peer: ChannelPeer;
  /**
   * Queues a record; `segments` are attached bytes that are not copied into the frame. `whenSent`: they have left this
   * process and may be written to again; not called when the channel is closed before.
   */
  send(record: ChannelRecord, segments?: Uint8Array[], whenSent?: () => void): void;
  /**
   * Queues the record `[kind, number, [bytes]]`, or `[kind, number, [bytes, 1]]` of a Buffer: what most answers are, at
   * half the cost. The bytes are copied.
   */
  sendBytes(kind: number, number: number, bytes: Uint8Array, isBuffer: boolean): void;
  /** What was sent so far leaves now, not at the end of the turn. */
  flush(): void;
  /** One handler per channel; called once per record, in order. */
  onRecord(handler: (record: ChannelRecord, segments: readonly Uint8Array[]) => void): void;
  /**
   * Asked when a record comes alone in its frame, with one large segment: the segment may be taken as its bytes come,
   * and the record's handler is then not called.
   */
  onSegment(handler: (record: ChannelRecord, bytes: number) => SegmentSink | undefined): void;
  /** Called exactly once, also when `close` was called here. */
  onClose(listener: (reason: MantaError) => void): void;
  /** Stops or restarts reading: how a full mailbox pushes back on its callers. */
  pause(): void;
  resume(): void;
  close(): void;
}
/** A small array that starts with the record's kind (a number of `rpc/records.ts`). */
export type ChannelRecord = unknown[];

export interface NatsListenOptions {
  transport: Transport;
  subject: string;
}

export interface ChannelServer {
  readonly address: ProcessAddress;
  /** Has the Unix socket in this directory from now on; channels that are open stay. */
  listenIn(socketDirectory: string): Promise<void>;
  /** From now on takes channels over NATS too. */
  listenOnNats(options: NatsListenOptions): Promise<void>;
  /** Resolves when all that was sent so far on its channels has left this process, or they have closed. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}
