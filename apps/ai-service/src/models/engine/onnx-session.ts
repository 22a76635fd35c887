import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { NamedTensor, TensorData, TensorDatatype } from '../types.ts';

/** The errors level of ONNX Runtime's log: its warnings are about how a graph was written. */
const LOG_SEVERITY_ERROR = 3;

/** The engine's own name for each data type. */
const ONNX_TYPES = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<TensorDatatype, Tensor.Type>;

/** Opens a model file for the CPU. One thread per session: models scale by replicas, and spinning threads cost more. */
export async function openOnnxSession(file: string): Promise<InferenceSession> {
  return InferenceSession.create(file, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: LOG_SEVERITY_ERROR,
  });
}

export function toOnnxTensor<D extends TensorDatatype>(
  datatype: D,
  data: TensorData[D],
  shape: readonly number[],
): Tensor {
  return new Tensor(ONNX_TYPES[datatype], data, shape);
}

export function fromOnnxTensor(name: string, tensor: Tensor): NamedTensor {
  const datatype = (Object.keys(ONNX_TYPES) as TensorDatatype[]).find(
    (candidate) => ONNX_TYPES[candidate] === tensor.type,
  );
  if (datatype === undefined)
    throw new Error(`Output ${name} has the unsupported type ${tensor.type}`);
  return { name, datatype, shape: [...tensor.dims], data: tensor.data } as NamedTensor;
}
