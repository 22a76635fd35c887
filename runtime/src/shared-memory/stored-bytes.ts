/** The bytes of one stored value. */
export interface StoredBytes {
  /**
   * The beginning, a page at least or all there is: a view of all that nobody needs would make the engine collect garbage. The rest comes
   * from `bufferOf`.
   */
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  /** An ArrayBuffer of exactly this range, held like `bytes`. @throws ProtocolError when it is not within the value. */
  bufferOf(offset: number, length: number): ArrayBuffer;
}
