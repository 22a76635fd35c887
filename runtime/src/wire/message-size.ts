/** A tag and a length. */
const HEADER_BYTES = 5;
const NUMBER_BYTES = 9;

/** At least what a value takes of a control message: tells how many of them fit into one. */
export function messageBytes(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === 'string') return HEADER_BYTES + Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return NUMBER_BYTES;
  if (value instanceof Uint8Array) return HEADER_BYTES + value.byteLength;
  let bytes = HEADER_BYTES;
  if (Array.isArray(value)) {
    for (const item of value) bytes += messageBytes(item);
  } else {
    for (const key of Object.keys(value))
      bytes += messageBytes(key) + messageBytes(value[key as never]);
  }
  return bytes;
}
