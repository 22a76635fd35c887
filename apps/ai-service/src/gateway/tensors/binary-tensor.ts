import type { NamedTensor, TensorDatatype } from '../../models/types.ts';
import { invalid } from '../request-error.ts';
import {
  bytesPerElement,
  elementCount,
  isArrayDatatype,
  type TensorArray,
  tensorArrayOver,
} from './datatypes.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Elements from the binary extension's form: little-endian, row-major; BYTES as 4-byte lengths, each with its bytes. */
export function readBinaryData(
  bytes: Uint8Array,
  datatype: TensorDatatype,
  shape: readonly number[],
  param: string,
): TensorArray | string[] {
  const count = elementCount(shape);
  if (!isArrayDatatype(datatype)) return readStrings(bytes, count, param);
  const expected = count * bytesPerElement(datatype);
  if (bytes.byteLength !== expected) {
    throw invalid(
      param,
      `'${param}' has ${bytes.byteLength} bytes, its shape asks for ${expected}`,
    );
  }
  return tensorArrayOver(datatype, bytes);
}

function readStrings(bytes: Uint8Array, count: number, param: string): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  let offset = 0;
  while (offset < bytes.byteLength) {
    const start = offset + 4;
    const end = start <= bytes.byteLength ? start + view.getUint32(offset, true) : Infinity;
    if (end > bytes.byteLength) throw invalid(param, `'${param}' ends within an element`);
    strings.push(decode(bytes.subarray(start, end), param));
    offset = end;
  }
  if (strings.length !== count) {
    throw invalid(param, `'${param}' has ${strings.length} elements, the shape asks for ${count}`);
  }
  return strings;
}

function decode(bytes: Uint8Array, param: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid(param, `'${param}' holds an element that is not UTF-8 text`);
  }
}

export function binaryData(tensor: NamedTensor): Uint8Array {
  if (tensor.datatype !== 'BYTES') {
    const { buffer, byteOffset, byteLength } = tensor.data;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  const parts: Buffer[] = [];
  for (const text of tensor.data) {
    const encoded = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(encoded.byteLength);
    parts.push(length, encoded);
  }
  return Buffer.concat(parts);
}
