/** The bytes of one stored value. */
export interface StoredBytes {
  /** Where engines limit typed arrays to 4 GiB, the first 4 GiB. */
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  /** An ArrayBuffer of exactly this range, held like `bytes`. @throws ProtocolError when it is not within the value. */
  bufferOf(offset: number, length: number): ArrayBuffer;
}
