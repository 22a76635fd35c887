/**
 * The records that a channel carries (docs/protocol.md). A record is an array that starts with its kind. `call` is
 * the number that the caller gave; it is unique per channel, so replies need no port.
 *
 * Values: a primitive (null, undefined, boolean, number, string) travels as itself, everything else as the bytes of
 * the value codec: inside the record, or, when large, as an attached segment.
 */
export const RECORD = {
  // caller → callee
  /** [open, port, actorId, incarnation]: calls on this port go to that life of that actor. */
  open: 0,
  /** [call, port, call, method, args, options?, firstSegment?] */
  call: 1,
  /** [cancel, call, reason]: reason is 'cancelled' or 'timeout'. */
  cancel: 2,
  /** [credit, call, items]: the stream may have so many more items unread. */
  credit: 3,
  /** [closePort, port]: the last handle of the caller is gone. */
  closePort: 4,
  // callee → caller
  /** [result, call, value] */
  result: 5,
  /** [resultSegment, call, firstSegment]: the encoded value is attached. */
  resultSegment: 6,
  /** [failure, call, encodedError]: the method threw. */
  failure: 7,
  /** [refused, call, encodedError]: the call did not run. */
  refused: 8,
  /** [stream, call]: the result is a stream; items follow. */
  stream: 9,
  /** [item, call, value] */
  item: 10,
  /** [itemSegment, call, firstSegment] */
  itemSegment: 11,
  /** [end, call, encodedError?] */
  end: 12,
  // between owner and borrower of an object
  /** [fetch, call, objectId]: answered by result or failure when the object is ready. */
  fetch: 13,
  /** [borrow, objectIds] */
  borrow: 14,
  /** [release, objectIds] */
  release: 15,
  /** [inspect, call, targetCall]: answered by a result: what the callee knows of the call. */
  inspect: 16,
} as const;

/** Options of one call, present only when one of them is set: [timeoutMs, group, idempotencyKey, maxBufferedItems, segmentArgs]. */
export type CallRecordOptions = [
  timeoutMs: number | null,
  concurrencyGroup: string | null,
  idempotencyKey: string | null,
  maxBufferedItems: number | null,
  /** Pairs [index of the argument, number of its segment]. */
  segmentArguments: [number, number][] | null,
];

/** From this size on encoded bytes are attached to the frame rather than copied into it. */
export const SEGMENT_THRESHOLD_BYTES = 16 * 1024;

/** Unread items of a stream when the caller says nothing. */
export const DEFAULT_BUFFERED_ITEMS = 64;
