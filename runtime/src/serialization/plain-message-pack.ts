import { ProtocolError } from '../errors/errors.ts';

/** Bytes of the payload of the items that have a fixed size, by token from 0xc0 on; -1: not such an item. */
const FIXED_BYTES = fixedBytes();

function fixedBytes(): Int8Array {
  const table = new Int8Array(64).fill(-1);
  const sizes: [token: number, byteLength: number][] = [
    [0xc0, 0],
    [0xc2, 0],
    [0xc3, 0],
    [0xca, 4],
    [0xcb, 8],
    [0xcc, 1],
    [0xcd, 2],
    [0xce, 4],
    [0xcf, 8],
    [0xd0, 1],
    [0xd1, 2],
    [0xd2, 4],
    [0xd3, 8],
  ];
  for (const [token, byteLength] of sizes) table[token - 0xc0] = byteLength;
  return table;
}

/**
 * Walks over one MessagePack item without building it, so that only well-formed, shallow, plain data reaches the
 * library that does: nil, booleans, numbers, strings, bytes, arrays, maps, and undefined as `d4 00 00`. Allocates
 * `depthMax` numbers at most.
 * @throws ProtocolError
 */
export function checkPlainMessagePack(bytes: Uint8Array, depthMax: number): void {
  const end = bytes.length;
  /** Items still to come in each collection that is open. */
  const open: number[] = [];
  let remaining = 1;
  let position = 0;
  while (remaining > 0) {
    if (position >= end) throw malformed(position, 'it ends too early');
    remaining--;
    const token = bytes[position++] as number;
    let items = 0;
    if (token < 0x80 || token >= 0xe0) items = 0;
    else if (token < 0x90) items = (token & 0x0f) * 2;
    else if (token < 0xa0) items = token & 0x0f;
    else if (token < 0xc0) position += token & 0x1f;
    else {
      const fixed = FIXED_BYTES[token - 0xc0] as number;
      if (fixed >= 0) position += fixed;
      else if (token >= 0xdc) {
        const lengthBytes = token % 2 === 0 ? 2 : 4;
        items = unsigned(bytes, position, lengthBytes) * (token >= 0xde ? 2 : 1);
        position += lengthBytes;
      } else if (token === 0xd4) {
        if (bytes[position] !== 0 || bytes[position + 1] !== 0)
          throw malformed(position, 'an extension');
        position += 2;
      } else {
        const lengthBytes = LENGTH_BYTES[token];
        if (lengthBytes === undefined) throw malformed(position, `item ${token}`);
        position += lengthBytes + unsigned(bytes, position, lengthBytes);
      }
    }
    if (position > end) throw malformed(end, 'a length beyond its end');
    if (items > 0) {
      if (items > end - position) throw malformed(position, 'more elements than bytes');
      if (open.length >= depthMax)
        throw malformed(position, `nested deeper than ${depthMax} levels`);
      open.push(remaining);
      remaining = items;
    }
    while (remaining === 0 && open.length > 0) remaining = open.pop() as number;
  }
  if (position !== end) throw malformed(position, 'bytes left over');
}

/** Of byte strings and strings that say their length in so many bytes. */
const LENGTH_BYTES: Record<number, 1 | 2 | 4 | undefined> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
};

function unsigned(bytes: Uint8Array, position: number, byteLength: 1 | 2 | 4): number {
  let value = 0;
  for (let index = 0; index < byteLength; index++)
    value = value * 0x100 + (bytes[position + index] ?? 0);
  return value;
}

const malformed = (position: number, what: string): ProtocolError =>
  new ProtocolError(`malformed message at byte ${position}: ${what}`);
