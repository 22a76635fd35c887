import { ClusterUnavailableError, ProtocolError, type MantaError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Channel, ChannelPeer, ChannelRecord } from './channel.ts';
import {
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_KIND,
  frameRecords,
  refusalFrom,
  type Frame,
  type FrameReader,
  type SegmentSink,
} from './frame.ts';
import type { Pipe } from './pipe.ts';
import { RecordWriter } from './record-writer.ts';

/** A batch is sent before its turn ends when it gets this large: the peer starts while we still fill the next. */
const RECORDS_PER_FRAME = 128;
/** The same, of what is not attached: whatever comes last, the frame stays within what its receiver takes. */
const BODY_BYTES_PER_FRAME = 1024 * 1024;
/** A segment of this size has a frame of its own: only then can its receiver take it piece by piece. */
const SEGMENT_BYTES_PER_FRAME = 256 * 1024;
const NOTHING = Buffer.alloc(0);

/** The one implementation of Channel: frames over a pipe whose handshake is done. */
export class FrameChannel implements Channel {
  readonly peer: ChannelPeer;
  readonly #pipe: Pipe;
  readonly #closeListeners: ((reason: MantaError) => void)[] = [];
  readonly #reader: FrameReader;
  readonly #writer = new RecordWriter(FRAME_HEADER_BYTES);
  #segments: Uint8Array[] = [];
  #segmentBytes = 0;
  #whenSent: (() => void)[] = [];
  #flushScheduled = false;
  #closed: MantaError | undefined;
  #handler: ((record: ChannelRecord, segments: readonly Uint8Array[]) => void) | undefined;
  readonly #onBroken: (error: unknown) => void;
  /** Frames that came before there was a handler, or while another one is being handled. None once closed. */
  readonly #waiting: Frame[] = [];
  #isHandling = false;
  readonly #flushAtLast = (): void => {
    this.#flushScheduled = false;
    this.#writeBatch();
  };
  readonly #handleNext = (): void => {
    this.#isHandling = false;
    if (this.#waiting.length === 0) return;
    // The peer goes on with the answers to one frame while the next is handled here.
    this.#writeBatch();
    try {
      this.#handleFirst();
    } catch (error) {
      this.#onBroken(error);
    }
  };

  /** `onBroken`: told of what the peer sent that could not be handled, where `receive` does not throw it. */
  constructor(
    pipe: Pipe,
    peer: ChannelPeer,
    reader: FrameReader,
    onBroken: (error: unknown) => void,
  ) {
    this.#pipe = pipe;
    this.peer = peer;
    this.#onBroken = onBroken;
    this.#reader = reader;
    reader.maxFrameBytes = LIMITS.frameBytes;
    pipe.onClose((error) => {
      while (this.#waiting.length > 0) this.#handleNext();
      this.#finish(
        new ClusterUnavailableError(
          `The connection to process ${peer.processId} closed${error === undefined ? '' : `: ${error.message}`}.`,
        ),
      );
    });
  }

  send(record: ChannelRecord, segments?: Uint8Array[], whenSent?: () => void): void {
    if (this.#closed !== undefined) return;
    if (segments !== undefined) this.#attach(record, segments, whenSent);
    this.#writer.write(record);
    this.#flushInTime();
  }

  sendBytes(kind: number, number: number, bytes: Uint8Array, isBuffer: boolean): void {
    if (this.#closed !== undefined) return;
    this.#writer.writeBytes(kind, number, bytes, isBuffer);
    this.#flushInTime();
  }

  #flushInTime(): void {
    if (
      this.#writer.count >= RECORDS_PER_FRAME ||
      this.#segmentBytes >= SEGMENT_BYTES_PER_FRAME ||
      this.#writer.bytes >= BODY_BYTES_PER_FRAME
    ) {
      this.#writeBatch();
    } else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      process.nextTick(this.#flushAtLast);
    }
  }

  flush(): void {
    this.#writeBatch();
  }

  /** A record names its segments from 0; in a frame they stand behind those of the records before it. */
  #attach(record: ChannelRecord, segments: Uint8Array[], whenSent?: () => void): void {
    if ((segments[0]?.byteLength ?? 0) >= SEGMENT_BYTES_PER_FRAME) this.#writeBatch();
    if (whenSent !== undefined) this.#whenSent.push(whenSent);
    record.push(this.#segments.length);
    for (const segment of segments) {
      this.#segments.push(segment);
      this.#segmentBytes += segment.byteLength;
    }
  }

  #writeBatch(): void {
    if (this.#writer.count === 0 || this.#closed !== undefined) return;
    const frame = frameRecords(this.#writer.finish(), this.#segments);
    if (this.#segments.length > 0) {
      this.#segments = [];
      this.#segmentBytes = 0;
    }
    if (this.#whenSent.length === 0) {
      this.#pipe.write(frame);
      return;
    }
    const whenSent = this.#whenSent;
    this.#whenSent = [];
    this.#pipe.write(frame, () => {
      for (const tell of whenSent) tell();
    });
  }

  onRecord(handler: (record: ChannelRecord, segments: readonly Uint8Array[]) => void): void {
    this.#handler = handler;
    this.#handleNext();
  }

  onSegment(handler: (record: ChannelRecord, bytes: number) => SegmentSink | undefined): void {
    this.#reader.onSegment = (body, bytes) => {
      const [record, ...others] = Array.isArray(body) ? (body as unknown[]) : [];
      if (this.#closed !== undefined || !Array.isArray(record) || others.length > 0)
        return undefined;
      return handler(record, bytes);
    };
  }

  onClose(listener: (reason: MantaError) => void): void {
    if (this.#closed === undefined) this.#closeListeners.push(listener);
    else listener(this.#closed);
  }

  /**
   * Takes a frame that the reader cut out. The frames of one chunk are handled one after the other with the work that
   * each leaves for the same turn in between: so the answers of asynchronous methods leave frame by frame, too.
   */
  receive(frame: Frame): void {
    if (this.#closed !== undefined) return;
    this.#waiting.push(frame);
    if (!this.#isHandling && this.#handler !== undefined) this.#handleFirst();
  }

  #handleFirst(): void {
    const frame = this.#waiting.shift();
    if (frame === undefined) return;
    this.#isHandling = true;
    this.#handle(frame);
    queueMicrotask(this.#handleNext);
  }

  #handle(frame: Frame): void {
    if (frame.kind === FRAME_KIND.refusal) {
      this.#finish(refusalFrom(frame.body));
      this.#pipe.end();
      return;
    }
    if (frame.kind !== FRAME_KIND.records) return;
    if (!Array.isArray(frame.body))
      throw new ProtocolError('Channel frame whose body is not a list of records.');
    for (const record of frame.body) {
      if (!Array.isArray(record)) throw new ProtocolError('Channel record that is not a list.');
      this.#handler?.(record, frame.segments);
    }
  }

  /** Resolves when all that was sent so far has left this process, or the channel has closed. */
  flushed(): Promise<void> {
    this.#writeBatch();
    return new Promise((resolve) => {
      this.onClose(() => resolve());
      if (this.#closed === undefined) this.#pipe.write([NOTHING], resolve);
    });
  }

  pause(): void {
    this.#pipe.pause();
  }

  resume(): void {
    this.#pipe.resume();
  }

  unref(): void {
    this.#pipe.unref();
  }

  close(): void {
    if (this.#closed !== undefined) return;
    this.#writeBatch();
    this.#finish(
      new ClusterUnavailableError(
        `The connection to process ${this.peer.processId} was closed here.`,
      ),
    );
    this.#pipe.end();
  }

  /** Ends the channel because the peer broke the protocol: it is told why, and nothing more is read. */
  refuse(reason: MantaError): void {
    this.#pipe.write(
      encodeFrame(FRAME_KIND.refusal, { name: reason.name, message: reason.message }),
    );
    this.#finish(reason);
    this.#pipe.end();
  }

  #finish(reason: MantaError): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#segments = [];
    this.#whenSent = [];
    this.#waiting.length = 0;
    for (const listener of this.#closeListeners) listener(reason);
    this.#closeListeners.length = 0;
  }
}
