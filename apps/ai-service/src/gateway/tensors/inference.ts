import type { NamedTensor } from '../../models/types.ts';
import { Body } from '../body.ts';
import { JsonBytes } from '../json-bytes.ts';
import type { ModelCallOptions, ServedModel } from '../model-registry.ts';
import { invalid, RequestError } from '../request-error.ts';
import { binaryData, readBinaryData } from './binary-tensor.ts';
import { isTensorDatatype, namedTensor, readShape } from './datatypes.ts';
import { readJsonData, writeJsonData } from './json-tensor.ts';

const TENSORS_MAX = 256;
/** Of an answer without data. */
const JSON_BYTES = 512;

export interface InferenceRequest {
  id: string | undefined;
  inputs: NamedTensor[];
  /** Which of the outputs to answer with, and how; in the order asked for. */
  outputs: (available: readonly NamedTensor[]) => { tensor: NamedTensor; binary: boolean }[];
}

export interface InferenceAnswer {
  json: JsonBytes;
  /** The raw tensors, in the order in which the JSON lists them. */
  binary: Uint8Array[];
}

/** `binary` is what followed the JSON: the raw tensors of the inputs that name a `binary_data_size`. */
export function readInferenceRequest(value: unknown, binary: Uint8Array): InferenceRequest {
  const body = new Body(value);
  const inputs = readInputs(body.required('inputs'), binary);
  const binaryByDefault = body.optionalObject('parameters')?.optionalBoolean('binary_data_output');
  return {
    id: body.optionalString('id'),
    inputs,
    outputs: readOutputs(body.get('outputs'), binaryByDefault ?? false),
  };
}

export async function infer(
  model: ServedModel,
  request: InferenceRequest,
  options: ModelCallOptions,
): Promise<InferenceAnswer> {
  const outputs = request.outputs(await model.infer(request.inputs, options));
  const binary: Uint8Array[] = [];
  const { name, version } = model.metadata;
  const json = new JsonBytes(JSON_BYTES);
  json.text('{').fields({ model_name: name, model_version: version, id: request.id });
  json.text(',"outputs":[');
  for (const [index, { tensor, binary: asBinary }] of outputs.entries()) {
    if (index > 0) json.text(',');
    if (asBinary) binary.push(describeBinary(json, tensor));
    else describeWithData(json, tensor);
  }
  json.text(']}');
  return { json, binary };
}

function describeBinary(json: JsonBytes, tensor: NamedTensor): Uint8Array {
  const { name, datatype, shape } = tensor;
  const bytes = binaryData(tensor);
  json.value({ name, datatype, shape, parameters: { binary_data_size: bytes.byteLength } });
  return bytes;
}

function describeWithData(json: JsonBytes, tensor: NamedTensor): void {
  const { name, datatype, shape } = tensor;
  json.text('{').fields({ name, datatype, shape }).text(',"data":[');
  writeJsonData(json, tensor);
  json.text(']}');
}

function readInputs(value: unknown, binary: Uint8Array): NamedTensor[] {
  const inputs = tensorList(value, 'inputs');
  if (inputs.length === 0) throw invalid('inputs', "'inputs' must not be empty");
  let offset = 0;
  const takeBinary = (size: number, param: string): Uint8Array => {
    if (offset + size > binary.byteLength) {
      throw invalid(param, `'${param}': the body ends before the ${size} bytes of this tensor`);
    }
    offset += size;
    return binary.subarray(offset - size, offset);
  };
  const tensors = inputs.map((input) => readInput(input, takeBinary));
  if (offset !== binary.byteLength) {
    throw new RequestError(
      400,
      `${binary.byteLength - offset} bytes follow the tensors that were announced`,
    );
  }
  return tensors;
}

function readInput(
  input: Body,
  takeBinary: (size: number, param: string) => Uint8Array,
): NamedTensor {
  const name = input.string('name');
  const datatype = input.string('datatype');
  if (!isTensorDatatype(datatype)) {
    throw invalid(input.param('datatype'), `'${datatype}' is not a datatype of the protocol`);
  }
  const shape = readShape(input.required('shape'), input.param('shape'));
  const parameters = input.optionalObject('parameters');
  refuseSharedMemory(parameters);
  const size = parameters?.optionalInteger('binary_data_size', 0, Number.MAX_SAFE_INTEGER);
  const param = input.param('data');
  if (size === undefined) {
    return namedTensor(
      name,
      datatype,
      shape,
      readJsonData(input.required('data'), datatype, shape, param),
    );
  }
  if (input.get('data') !== undefined) {
    throw invalid(param, `'${param}' must be absent when 'binary_data_size' is given`);
  }
  const data = readBinaryData(takeBinary(size, param), datatype, shape, param);
  return namedTensor(name, datatype, shape, data);
}

function readOutputs(value: unknown, binaryByDefault: boolean): InferenceRequest['outputs'] {
  const asked = (value === undefined ? [] : tensorList(value, 'outputs')).map((output) => {
    const parameters = output.optionalObject('parameters');
    refuseSharedMemory(parameters);
    if (parameters?.get('classification') !== undefined) {
      const param = parameters.param('classification');
      throw invalid(param, `'${param}' is not supported by this service`);
    }
    const binary = parameters?.optionalBoolean('binary_data') ?? binaryByDefault;
    return { name: output.string('name'), param: output.param('name'), binary };
  });
  if (asked.length === 0) {
    return (available) => available.map((tensor) => ({ tensor, binary: binaryByDefault }));
  }
  return (available) =>
    asked.map(({ name, param, binary }) => {
      const tensor = available.find((candidate) => candidate.name === name);
      if (tensor === undefined) throw invalid(param, `the model has no output '${name}'`);
      return { tensor, binary };
    });
}

function refuseSharedMemory(parameters: Body | undefined): void {
  if (parameters?.get('shared_memory_region') === undefined) return;
  const param = parameters.param('shared_memory_region');
  throw invalid(param, `'${param}' is not supported by this service`);
}

function tensorList(value: unknown, param: string): Body[] {
  if (!Array.isArray(value) || value.length > TENSORS_MAX) {
    throw invalid(param, `'${param}' must be an array of up to ${TENSORS_MAX} tensors`);
  }
  return value.map((item: unknown, index) => new Body(item, `${param}[${index}]`));
}
