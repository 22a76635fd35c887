/**
 * The records that a channel carries (docs/protocol.md). A record is an array that starts with its kind. `call` is
 * the number that the caller gave; it is unique per channel, so replies need no port.
 *
 * Values: a primitive (null, undefined, boolean, number, string) travels as itself, everything else as the bytes of
 * the value codec: inside the record, or, when large, as an attached segment.
 */
export const RECORD = {
  // caller → callee
  /**
   * [open, port, actorId, incarnation, caller?]: calls on this port go to that life of that actor. `caller`: address of
   * the calling process, which will own the results, and the node whose store it uses, or null (core/stored-values.ts).
   */
  open: 0,
  /** [call, port, call, method, args, options?, firstSegment?] */
  call: 1,
  /**
   * [cancel, call, reason, recursive?, force?]: reason is 'cancelled' or 'timeout'; `recursive`: what it has submitted too,
   * with that `force`.
   */
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
  /** [fetch, call, objectIds]: answered by `fetched`, one or several, as the objects become ready. */
  fetch: 13,
  /**
   * [borrow, call, number, words]: what has become of the owner's refs at the sender, in order (core/owner-words.ts);
   * answered by a result. A record that is not answered comes again, with the same number.
   */
  borrow: 14,
  /** [cancelRef, objectId, force, recursive]: borrower → owner: cancel the call that makes this object. */
  cancelRef: 37,
  /** [holds, call, objectIds]: owner → borrower; answered by a result: the list of those that it holds. */
  holds: 35,
  /** [inspect, call, targetCall]: answered by a text: `running`, `queued` or `unknown`, and for how many ms it has it. */
  inspect: 16,
  /** [fetched, call, entries, firstSegment?]: answers to some of the objects of a fetch (core/object-fetches.ts). */
  fetched: 18,
  /** [link, address]: driver → agent of a node: this channel is the driver's sign of life; how the driver is reached. */
  link: 19,
  // process → agent of its node (core/node-store.ts ↔ worker/src/objects)
  /** [storeAttach, call]: answered by a result: an AttachmentRecord. */
  storeAttach: 20,
  /** [storeNeed, call, bytes]: make room; answered when there may be, or by ObjectStoreFullError. */
  storeNeed: 21,
  /** [storeLocate, call, blob, ownerAddress]: bring it into this node's memory; answered by a slot, in array form. */
  storeLocate: 22,
  /**
   * [storeRelease, call, blobIds]: their owner has dropped them; also from owners on other nodes; answered by a result, and
   * sent again until it is. From an agent to the process that stored them (storeKeep), without a call: their slots can go.
   */
  storeRelease: 23,
  // agent → process attached to it (over the same channel)
  /**
   * [storeReclaim, call, bytes]: collect garbage, give so many free bytes back to the quota (0: only collect);
   * answered by [bytesGivenBack, liveBytes].
   */
  storeReclaim: 24,
  /** [storeCandidates, call, bytes]: what could be moved to disk, least recently used first: [blobId, slot, sizeBytes, lastUsedMs][]. */
  storeCandidates: 25,
  /** [storeEvict, call, blobIds]: these are on disk now; answered by those whose slots were closed to new readers. */
  storeEvict: 26,
  // between nodes, and between a node that wants a blob and its owner
  /**
   * [blobPull, call, blobId, offset, bytes, slot | null]: answered by a blobChunk, or by a failure: it has the blob no
   * more. `slot` is that of the descriptor: what a process put for itself is known to its agent by nothing else.
   */
  blobPull: 27,
  /** [blobSource, call, blobId, nodeId | null, reason | null]: which copy to pull from, and why that node has none any more; answered by its agent's address when one has room. */
  blobSource: 28,
  /** [blobCopied, blobId, agentAddress | null]: the sender's pull has ended; with an address, its node has a copy now. */
  blobCopied: 29,
  /** [blobMissing, blobId, nodeId, failure, reason | null]: the sender could not pull from there ('missing' | 'unreachable'), or says that itself has it no more. */
  blobMissing: 30,
  /**
   * [blobGiveUp, call, blobIds]: agent → owner: would rather not keep its copies; answered by those that may go, which
   * count no more: another node has one, and nobody pulls from this one.
   */
  blobGiveUp: 36,
  /** [blobChunk, call, checksum, firstSegment]: the bytes that a blobPull asked for are attached (objects/chunk-checksum.ts). */
  blobChunk: 32,
  /**
   * [storeKeep, [blob, ownerAddress][]]: process → agent of its node, before the blob is described to its owner: stored
   * here for somebody else (results, arguments for a remote owner). With it the agent forwards releases, keeps the blob
   * when the process dies, and frees it when the owner does. What a process stored for itself it need not tell.
   */
  storeKeep: 31,
  /**
   * [storeDurable, call, objectId, blob]: process → agent of its node: the agent becomes the owner of this object, and
   * has written it to disk when it answers. From then on it answers `fetch` for it, until `free`.
   */
  storeDurable: 33,
  // anyone → process
  /** [inquire, call, ProcessInquiry]: what it knows of objects and tasks; answered by a ProcessReport (wire/object-messages.ts). */
  inquire: 40,
  /**
   * [begun, 0, actorId, incarnation]: host → owner of an actor, over the channel that the owner has opened: that life
   * can be called. The head says the same a little later.
   */
  begun: 48,
  // submitter of tasks → task worker
  /** [taskFunction, port, number, moduleUrl, exportKey, name, maxCalls]: what that method number means on this port. */
  taskFunction: 45,
  /** [recall, calls]: those of them that have not started are answered by `returned`, the others as usual. */
  recall: 46,
  // task worker → submitter
  /** [returned, call, reason]: the task did not run, or was cancelled (`RETURNED`). */
  returned: 47,
} as const;

/** Why a task worker gives a task back. */
export const RETURNED = {
  /** The submitter asked for it. */
  recalled: 0,
  /** The worker's running task waits for others, perhaps for this one. */
  blocked: 1,
  /** The worker has run as often as `maxCalls` allows, or its lease is over. */
  ending: 2,
  /** It was cancelled: not started, or over now. */
  cancelled: 3,
} as const;

/** What the callee must know of one call beside its arguments; absent when everything is as usual. */
export type CallRecordOptions = [
  concurrencyGroup: string | null,
  idempotencyKey: string | null,
  maxBufferedItems: number | null,
  /** Pairs [index of the argument, number of its segment]. */
  segmentArguments: [number, number][] | null,
  /** The method threw, and the caller tries again: an error that was kept for the idempotency key is no answer. */
  isRetry: boolean,
];

/** From this size on encoded bytes are attached to the frame rather than copied into it. */
export const SEGMENT_THRESHOLD_BYTES = 16 * 1024;

/** Unread items of a stream when the caller says nothing. */
export const DEFAULT_BUFFERED_ITEMS = 64;
