import { Packr, RESERVE_START_SPACE } from 'msgpackr/pack';
import { Unpackr } from 'msgpackr/unpack';
import { AuthenticationError, MantaError, ProtocolError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';

/**
 * The frame of every channel, whatever carries it (docs/protocol.md):
 *
 *     0  u32le  length of the whole frame, header included
 *     4  u8     protocol version of the frame layout
 *     5  u8     kind
 *     6  u16le  number of attached segments
 *
 * then, with segments: u32le length of the body and one u32le length per segment; then the body (one msgpack array);
 * then the segments, each starting at a multiple of 8 from the start of the frame, so that typed arrays in them can
 * be used in place.
 */
export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 8;
const SEGMENT_ALIGNMENT = 8;

export const FRAME_KIND = { handshake: 0, records: 1, refusal: 4 } as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];

/** Values inside a body are already encoded bytes or primitives, so the plain form of msgpack is enough. */
const packr = new Packr({ useRecords: false, moreTypes: false });
const unpackr = new Unpackr({ useRecords: false, moreTypes: false });
const PADDING = Buffer.alloc(SEGMENT_ALIGNMENT);

const isKind = (value: unknown): value is FrameKind =>
  value === FRAME_KIND.records || value === FRAME_KIND.handshake || value === FRAME_KIND.refusal;

export interface Frame {
  kind: FrameKind;
  body: unknown;
  segments: readonly Uint8Array[];
}

/** Frames a batch that a RecordWriter with `FRAME_HEADER_BYTES` reserved has filled. */
export function frameRecords(written: Buffer, segments: readonly Uint8Array[]): Buffer[] {
  if (segments.length > 0) {
    return encodeWithSegments(FRAME_KIND.records, written.subarray(FRAME_HEADER_BYTES), segments);
  }
  writeHeader(written, written.length, FRAME_KIND.records, 0);
  return [written];
}

/** The buffers to write, in order. Without segments there is exactly one, and nothing was copied. */
export function encodeFrame(
  kind: FrameKind,
  body: unknown,
  segments?: readonly Uint8Array[],
): Buffer[] {
  if (segments === undefined || segments.length === 0) {
    const frame = packr.pack(body, RESERVE_START_SPACE | FRAME_HEADER_BYTES);
    writeHeader(frame, frame.length, kind, 0);
    return [frame];
  }
  return encodeWithSegments(kind, packr.pack(body), segments);
}

function encodeWithSegments(
  kind: FrameKind,
  body: Buffer,
  segments: readonly Uint8Array[],
): Buffer[] {
  const prefix = Buffer.allocUnsafe(FRAME_HEADER_BYTES + 4 + 4 * segments.length);
  prefix.writeUInt32LE(body.length, FRAME_HEADER_BYTES);
  const buffers: Buffer[] = [prefix, body];
  let length = prefix.length + body.length;
  segments.forEach((segment, index) => {
    prefix.writeUInt32LE(segment.byteLength, FRAME_HEADER_BYTES + 4 + 4 * index);
    const padding = paddingAt(length);
    if (padding > 0) buffers.push(PADDING.subarray(0, padding));
    buffers.push(Buffer.from(segment.buffer, segment.byteOffset, segment.byteLength));
    length += padding + segment.byteLength;
  });
  writeHeader(prefix, length, kind, segments.length);
  return buffers;
}

function writeHeader(target: Buffer, length: number, kind: number, segmentCount: number): void {
  target[0] = length & 0xff;
  target[1] = (length >>> 8) & 0xff;
  target[2] = (length >>> 16) & 0xff;
  target[3] = (length >>> 24) & 0xff;
  target[4] = FRAME_VERSION;
  target[5] = kind;
  target[6] = segmentCount & 0xff;
  target[7] = (segmentCount >>> 8) & 0xff;
}

const paddingAt = (offset: number): number => -offset & (SEGMENT_ALIGNMENT - 1);

/** Decodes one whole frame. @throws ProtocolError for anything a sound sender would not have sent. */
function decodeFrame(frame: Buffer): Frame {
  const segmentCount = frame.readUInt16LE(6);
  const kind = frame[5] as FrameKind;
  if (segmentCount === 0)
    return { kind, body: unpack(frame.subarray(FRAME_HEADER_BYTES)), segments: [] };
  const prefixBytes = FRAME_HEADER_BYTES + 4 + 4 * segmentCount;
  if (segmentCount > LIMITS.frameSegments || prefixBytes > frame.length)
    throw malformed('segment table');
  const bodyBytes = frame.readUInt32LE(FRAME_HEADER_BYTES);
  let offset = prefixBytes + bodyBytes;
  if (offset > frame.length) throw malformed('body length');
  const body = unpack(frame.subarray(prefixBytes, offset));
  const segments: Uint8Array[] = [];
  for (let index = 0; index < segmentCount; index += 1) {
    const start = offset + paddingAt(offset);
    const end = start + frame.readUInt32LE(FRAME_HEADER_BYTES + 4 + 4 * index);
    if (end > frame.length) throw malformed('segment length');
    segments.push(frame.subarray(start, end));
    offset = end;
  }
  if (offset !== frame.length) throw malformed('trailing bytes');
  return { kind, body, segments };
}

function unpack(bytes: Buffer): unknown {
  try {
    return unpackr.unpack(bytes);
  } catch (error) {
    throw new ProtocolError('Channel frame with a body that is not msgpack.', { cause: error });
  }
}

const malformed = (what: string): ProtocolError =>
  new ProtocolError(`Channel frame with a wrong ${what}.`);

/** Where the segment begins, but for padding, as far as `start` tells; 0: the frame has not one segment. */
function sinkPrefixBytes(start: Buffer, length: number): number {
  const tableBytes = FRAME_HEADER_BYTES + 8;
  if (start.readUInt16LE(6) !== 1) return 0;
  if (start.length < tableBytes) return tableBytes;
  const prefixBytes = tableBytes + start.readUInt32LE(FRAME_HEADER_BYTES);
  if (prefixBytes > length) throw malformed('body length');
  return prefixBytes;
}

/** Why a peer is refused that has sent what could not be handled. */
export function refusalReason(error: unknown): MantaError {
  return MantaError.is(error)
    ? (error as MantaError)
    : new ProtocolError(String(error), { cause: error });
}

/** The error that the body of a refusal frame tells of. */
export function refusalFrom(body: unknown): MantaError {
  const { name, message } = (body ?? {}) as { name?: unknown; message?: unknown };
  const text = `The peer refused: ${String(message)}`;
  return name === 'AuthenticationError' ? new AuthenticationError(text) : new ProtocolError(text);
}

/** Takes the bytes of one attached segment as they come. */
export interface SegmentSink {
  /** `piece` is only lent. */
  write(piece: Uint8Array): void;
  end(): void;
}

/** A frame whose segment goes into a sink. */
interface SunkFrame {
  readonly sink: SegmentSink;
  padding: number;
  remaining: number;
}

/** With less than this attached, a sink costs more than it saves. */
const SINK_THRESHOLD_BYTES = 32 * 1024;
/** A body that is longer is not waited for. */
const SINK_PREFIX_BYTES_MAX = 4 * 1024;

/**
 * Cuts a byte stream into frames. A frame that lies in one chunk is decoded in place; one that spans chunks is
 * collected into a buffer of exactly its length, so every byte is copied at most once. A large segment that stands
 * alone in its frame can go into a sink instead, piece by piece.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  #maxFrameBytes: number;
  /** Asked for a sink when a frame with one large segment begins; undefined: the frame is collected. */
  onSegment: ((body: unknown, bytes: number) => SegmentSink | undefined) | undefined;
  #sunk: SunkFrame | undefined;
  /** Start of a frame whose header is not complete yet, or what stands before its segment. */
  #partialHeader: Buffer | undefined;
  #collecting: Buffer | undefined;
  #collected = 0;

  constructor(onFrame: (frame: Frame) => void, maxFrameBytes: number) {
    this.#onFrame = onFrame;
    this.#maxFrameBytes = maxFrameBytes;
  }

  set maxFrameBytes(limit: number) {
    this.#maxFrameBytes = limit;
  }

  /**
   * `isLent`: the chunk's memory is used anew after the call; whole frames in it are decoded from a copy.
   * @throws ProtocolError when the stream is not one of frames; the connection must then be closed.
   */
  push(chunk: Buffer, isLent = false): void {
    let rest = chunk;
    let mustCopy = isLent;
    if (this.#sunk !== undefined) {
      rest = this.#sink(this.#sunk, rest);
    } else if (this.#collecting !== undefined) {
      rest = this.#collect(this.#collecting, rest);
    } else if (this.#partialHeader !== undefined) {
      rest = Buffer.concat([this.#partialHeader, rest]);
      this.#partialHeader = undefined;
      mustCopy = false;
    }
    while (rest.length >= FRAME_HEADER_BYTES) {
      const length = this.#checkedLength(rest);
      if (length > rest.length) {
        this.#begin(length, rest);
        return;
      }
      if (mustCopy) {
        rest = Buffer.from(rest);
        mustCopy = false;
      }
      this.#onFrame(decodeFrame(rest.subarray(0, length)));
      rest = rest.subarray(length);
    }
    if (rest.length > 0) this.#partialHeader = mustCopy ? Buffer.from(rest) : rest;
  }

  /** A frame that does not end in this chunk. */
  #begin(length: number, start: Buffer): void {
    if (length >= SINK_THRESHOLD_BYTES && this.onSegment !== undefined) {
      const prefixBytes = sinkPrefixBytes(start, length);
      if (prefixBytes > 0 && prefixBytes <= SINK_PREFIX_BYTES_MAX) {
        if (this.#beginSunk(length, start, prefixBytes)) return;
      }
    }
    this.#collecting = Buffer.allocUnsafeSlow(length);
    this.#collected = 0;
    this.#collect(this.#collecting, start);
  }

  /** False: nobody takes the segment as it comes. */
  #beginSunk(length: number, start: Buffer, prefixBytes: number): boolean {
    if (start.length < prefixBytes) {
      this.#partialHeader = Buffer.from(start);
      return true;
    }
    this.#sunk = this.#openSink(start, prefixBytes, length);
    if (this.#sunk === undefined) return false;
    this.#sink(this.#sunk, start.subarray(prefixBytes));
    return true;
  }

  #openSink(start: Buffer, prefixBytes: number, length: number): SunkFrame | undefined {
    const padding = paddingAt(prefixBytes);
    const remaining = start.readUInt32LE(FRAME_HEADER_BYTES + 4);
    if (prefixBytes + padding + remaining !== length) throw malformed('segment length');
    if (start[5] !== FRAME_KIND.records) return undefined;
    // The body may hold bytes: those must not lie in a chunk that is only lent.
    const body = unpack(Buffer.from(start.subarray(FRAME_HEADER_BYTES + 8, prefixBytes)));
    const sink = this.onSegment?.(body, remaining);
    return sink === undefined ? undefined : { sink, padding, remaining };
  }

  #sink(sunk: SunkFrame, chunk: Buffer): Buffer {
    const skipped = Math.min(sunk.padding, chunk.length);
    sunk.padding -= skipped;
    const end = skipped + Math.min(sunk.remaining, chunk.length - skipped);
    sunk.remaining -= end - skipped;
    if (end > skipped) sunk.sink.write(chunk.subarray(skipped, end));
    if (sunk.remaining === 0 && sunk.padding === 0) {
      this.#sunk = undefined;
      sunk.sink.end();
    }
    return chunk.subarray(end);
  }

  #collect(target: Buffer, chunk: Buffer): Buffer {
    const taken = Math.min(target.length - this.#collected, chunk.length);
    chunk.copy(target, this.#collected, 0, taken);
    this.#collected += taken;
    if (this.#collected === target.length) {
      this.#collecting = undefined;
      this.#onFrame(decodeFrame(target));
    }
    return chunk.subarray(taken);
  }

  #checkedLength(header: Buffer): number {
    const length = header.readUInt32LE(0);
    if (header[4] !== FRAME_VERSION) {
      throw new ProtocolError(
        `Channel frame of version ${header[4]}; this side speaks ${FRAME_VERSION}.`,
      );
    }
    if (!isKind(header[5])) throw malformed('kind');
    if (length < FRAME_HEADER_BYTES) throw malformed('length');
    if (length > this.#maxFrameBytes) {
      throw new ProtocolError(
        `Channel frame of ${length} bytes; the limit is ${this.#maxFrameBytes}.`,
      );
    }
    return length;
  }
}
