import { ModelInputError } from '../errors.ts';
import type { NamedTensor, TensorDatatype, TensorMetadata } from '../types.ts';

/** The class of array that carries each data type, by its tag: arrays may come from another realm. */
const ARRAY_TAGS: Record<TensorDatatype, string> = {
  BOOL: 'Uint8Array',
  UINT8: 'Uint8Array',
  UINT16: 'Uint16Array',
  UINT32: 'Uint32Array',
  UINT64: 'BigUint64Array',
  INT8: 'Int8Array',
  INT16: 'Int16Array',
  INT32: 'Int32Array',
  INT64: 'BigInt64Array',
  FP16: 'Uint16Array',
  FP32: 'Float32Array',
  FP64: 'Float64Array',
  BYTES: 'Array',
};

/**
 * Checks a request's tensors against what the model declares.
 *
 * @param batchSizeMax Most rows (first dimension) of an input whose first dimension is free.
 * @returns The tensors by name.
 * @throws ModelInputError that names the tensor and what it should have been.
 */
export function validateTensors(
  inputs: readonly NamedTensor[],
  declared: readonly TensorMetadata[],
  batchSizeMax: number,
): Map<string, NamedTensor> {
  const byName = new Map<string, NamedTensor>();
  for (const input of inputs) {
    const metadata = declared.find(({ name }) => name === input.name);
    if (metadata === undefined) {
      const names = declared.map(({ name }) => name).join(', ');
      throw new ModelInputError(
        `The model has no input "${input.name}"; its inputs are: ${names}`,
        'inputs',
      );
    }
    if (byName.has(input.name)) throw fault(input.name, 'is given twice');
    validateTensor(input, metadata, batchSizeMax);
    byName.set(input.name, input);
  }
  for (const { name, optional } of declared) {
    if (optional !== true && !byName.has(name)) throw fault(name, 'is missing');
  }
  return byName;
}

function validateTensor(input: NamedTensor, metadata: TensorMetadata, batchSizeMax: number): void {
  const { name, datatype, shape, data } = input;
  if (datatype !== metadata.datatype) {
    throw fault(name, `has datatype ${datatype}; the model takes ${metadata.datatype}`);
  }
  const tag = Array.isArray(data) ? 'Array' : data[Symbol.toStringTag];
  if (tag !== ARRAY_TAGS[datatype]) {
    throw fault(
      name,
      `carries its ${datatype} elements in a ${tag}, not in a ${ARRAY_TAGS[datatype]}`,
    );
  }
  validateShape(name, shape, metadata.shape, batchSizeMax);
  const elementCount = shape.reduce((product, size) => product * size, 1);
  if (elementCount !== data.length) {
    throw fault(
      name,
      `has ${data.length} elements; its shape [${shape.join(',')}] means ${elementCount}`,
    );
  }
  if (Array.isArray(data) && data.some((element) => typeof element !== 'string')) {
    throw fault(name, 'has an element that is not text');
  }
}

function validateShape(
  name: string,
  shape: readonly number[],
  declared: readonly number[],
  batchSizeMax: number,
): void {
  const fits =
    shape.length === declared.length &&
    shape.every((size, axis) => {
      const expected = declared[axis];
      return Number.isSafeInteger(size) && size > 0 && (expected === -1 || expected === size);
    });
  if (!fits) {
    throw fault(name, `has shape [${shape.join(',')}]; the model takes [${declared.join(',')}]`);
  }
  const rows = shape[0] ?? 1;
  if (declared[0] === -1 && rows > batchSizeMax) {
    throw fault(name, `has ${rows} rows; one request may have ${batchSizeMax}`);
  }
}

function fault(name: string, what: string): ModelInputError {
  return new ModelInputError(`Input "${name}" ${what}`, `inputs.${name}`);
}
