import type { NamedTensor, TensorData, TensorDatatype } from '../../models/types.ts';
import { invalid } from '../request-error.ts';

type ArrayDatatype = Exclude<TensorDatatype, 'BYTES'>;

const ARRAY_OF = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

export type TensorArray = TensorData[ArrayDatatype];

export function isTensorDatatype(value: unknown): value is TensorDatatype {
  return value === 'BYTES' || (typeof value === 'string' && Object.hasOwn(ARRAY_OF, value));
}

export function isArrayDatatype(datatype: TensorDatatype): datatype is ArrayDatatype {
  return datatype !== 'BYTES';
}

export function bytesPerElement(datatype: ArrayDatatype): number {
  return ARRAY_OF[datatype].BYTES_PER_ELEMENT;
}

export function newTensorArray(datatype: ArrayDatatype, length: number): TensorArray {
  return new ARRAY_OF[datatype](length);
}

/** The bytes as elements, little-endian; without a copy where they are aligned. */
export function tensorArrayOver(datatype: ArrayDatatype, bytes: Uint8Array): TensorArray {
  const array = ARRAY_OF[datatype];
  // Not `slice`: of a Buffer it is a view.
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new array(
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / array.BYTES_PER_ELEMENT,
  );
}

/** What was read is consistent: the datatype names the array. */
export function namedTensor(
  name: string,
  datatype: TensorDatatype,
  shape: number[],
  data: TensorArray | string[],
): NamedTensor {
  return { name, datatype, shape, data } as NamedTensor;
}

const DIMENSIONS_MAX = 32;

export function readShape(value: unknown, param: string): number[] {
  const valid =
    Array.isArray(value) &&
    value.length <= DIMENSIONS_MAX &&
    value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
  if (!valid) throw invalid(param, `'${param}' must be an array of sizes, none of them negative`);
  return value as number[];
}

/** Elements of a tensor; a product beyond what numbers hold exactly cannot match any data and says so there. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
