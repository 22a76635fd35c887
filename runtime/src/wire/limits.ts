/** Every limit on input in one place; the receiver enforces it. */
export const LIMITS = {
  /** One control message (head, agents, broker payload). */
  controlMessageBytes: 8 * 1024 * 1024,
  /** Nesting of a control message. */
  controlDepth: 32,
  /** One channel frame, attached segments included. */
  frameBytes: 128 * 1024 * 1024,
  /** Values that one record carries: with their envelope, and what else was queued, they fit into a frame. */
  messageBytes: 120 * 1024 * 1024,
  /** Before a channel has authenticated, nothing larger than this is read. */
  handshakeFrameBytes: 4 * 1024,
  handshakeTimeoutMs: 5_000,
  /** Attached segments of one frame. */
  frameSegments: 4_096,
  /** Nesting of a value. */
  valueDepth: 512,
  /**
   * Objects, and elements of collections, of one value. A byte on the wire can become a hundred in memory: these keep
   * a hostile message of `frameBytes` from exhausting the heap. Typed arrays and arrays of numbers count as one.
   */
  valueObjects: 4 * 1024 * 1024,
  valueElements: 24 * 1024 * 1024,
  /** Calls that one process may have unanswered on one channel before the callee stops reading from it. */
  mailboxCalls: 100_000,
  /** The same for what the arguments of those take in its heap that have not started. */
  mailboxBytes: 256 * 1024 * 1024,
  /** A value kept in shared memory: what one segment holds. */
  storedValueBytes: 64 * 1024 ** 3,
  /** Bytes of a stored value that one request may ask for. */
  blobChunkBytes: 16 * 1024 * 1024,
  /** Requests for such bytes that one process may have unanswered on one channel. */
  blobRequests: 1_024,
  nameLength: 512,
  /** Labels, custom resources, concurrency groups of one definition. */
  recordEntries: 256,
  /** The arguments of one constructor, as they stand in a control message: large ones stand there as refs. */
  specArgumentBytes: 4 * 1024 * 1024,
  /** What else an actor or task asks for: its variables, labels, names. */
  specSettingsBytes: 128 * 1024,
  /** Why something ended, in words. */
  causeLength: 16 * 1024,
  /** An error that a constructor threw, with its stack and all that it carries. */
  encodedErrorBytes: 1024 * 1024,
  /** Public methods of one actor class. */
  methods: 1_024,
  /** Names of tasks in one report of a process's progress. */
  taskNames: 100,
  /** Objects in one answer about who holds what, and ids in one such question. */
  objectRows: 10_000,
} as const;
