import type { NamedTensor, TensorDatatype } from '../../models/types.ts';
import type { JsonBytes } from '../json-bytes.ts';
import { invalid, RequestError } from '../request-error.ts';
import { elementCount, isArrayDatatype, newTensorArray, type TensorArray } from './datatypes.ts';
import { halfFromNumber, numberFromHalf } from './half-float.ts';

const INTEGER_RANGE: Partial<Record<TensorDatatype, readonly [number, number]>> = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffffffff],
  UINT64: [0, Number.MAX_SAFE_INTEGER],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x80000000, 0x7fffffff],
  INT64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

const NESTING_MAX = 32;

/** Elements from the JSON form: flat, or nested as the shape, in row-major order either way. */
export function readJsonData(
  value: unknown,
  datatype: TensorDatatype,
  shape: readonly number[],
  param: string,
): TensorArray | string[] {
  if (!Array.isArray(value)) throw invalid(param, `'${param}' must be an array`);
  const elements: unknown[] = value.some(Array.isArray) ? flatten(value, param) : value;
  const expected = elementCount(shape);
  if (elements.length !== expected) {
    throw invalid(
      param,
      `'${param}' has ${elements.length} elements, the shape asks for ${expected}`,
    );
  }
  if (!isArrayDatatype(datatype)) return readStrings(elements, param);
  const data = newTensorArray(datatype, elements.length);
  const convert = converterOf(datatype);
  for (let index = 0; index < elements.length; index += 1) {
    const element = convert(elements[index]);
    if (element === undefined) {
      throw invalid(param, `'${param}': element ${index} is not a ${datatype} that JSON can carry`);
    }
    data[index] = element;
  }
  return data;
}

function flatten(value: unknown[], param: string): unknown[] {
  const flat = value.flat(NESTING_MAX);
  if (flat.some(Array.isArray)) throw invalid(param, `'${param}' is nested too deeply`);
  return flat;
}

function readStrings(elements: unknown[], param: string): string[] {
  const index = elements.findIndex((element) => typeof element !== 'string');
  if (index >= 0) throw invalid(param, `'${param}': element ${index} must be a string`);
  return elements as string[];
}

type Converter = (element: unknown) => number | bigint | undefined;

function converterOf(datatype: TensorDatatype): Converter {
  if (datatype === 'BOOL') return booleanElement;
  const range = INTEGER_RANGE[datatype];
  if (range === undefined) {
    const toElement = datatype === 'FP16' ? halfFromNumber : (value: number) => value;
    return (element) => (typeof element === 'number' ? toElement(element) : undefined);
  }
  const [min, max] = range;
  const wide = datatype === 'INT64' || datatype === 'UINT64';
  return (element) => {
    if (typeof element !== 'number' || !Number.isInteger(element)) return undefined;
    if (element < min || element > max) return undefined;
    return wide ? BigInt(element) : element;
  };
}

function booleanElement(element: unknown): number | undefined {
  if (element === true || element === 1) return 1;
  return element === false || element === 0 ? 0 : undefined;
}

/** Writes the elements in the JSON form, flat. @throws RequestError for values that JSON would change. */
export function writeJsonData(json: JsonBytes, tensor: NamedTensor): void {
  if (tensor.datatype === 'FP32') {
    for (const element of tensor.data) finite(element, tensor.name);
    json.numbers(tensor.data);
    return;
  }
  json.text(JSON.stringify(jsonData(tensor)).slice(1, -1));
}

function jsonData(tensor: Exclude<NamedTensor, { datatype: 'FP32' }>): unknown[] {
  switch (tensor.datatype) {
    case 'BYTES':
      return tensor.data;
    case 'BOOL':
      return Array.from(tensor.data, (element) => element !== 0);
    case 'FP16':
      return Array.from(tensor.data, (bits) => finite(numberFromHalf(bits), tensor.name));
    case 'FP64':
      return Array.from(tensor.data, (element) => finite(element, tensor.name));
    case 'INT64':
    case 'UINT64':
      return Array.from(tensor.data as Iterable<bigint>, (element) => safe(element, tensor.name));
    default:
      return Array.from(tensor.data);
  }
}

function finite(value: number, name: string): number {
  if (!Number.isFinite(value)) throw notInJson(name, String(value));
  return value;
}

function safe(value: bigint, name: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw notInJson(name, String(value));
  return number;
}

function notInJson(name: string, value: string): RequestError {
  return new RequestError(
    400,
    `output '${name}' holds ${value}, which JSON cannot carry exactly: ask for it with binary_data`,
  );
}
