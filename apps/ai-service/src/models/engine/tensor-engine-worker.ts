import type { TransferListItem } from 'node:worker_threads';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { NamedTensor } from '../types.ts';
import { fromOnnxTensor, openOnnxSession, toOnnxTensor } from './onnx-session.ts';
import { serveEngine, type Engine, type EngineAnswer, type EngineCall } from './serve-engine.ts';
import type { TensorEngineOptions } from './tensor-engine.ts';

/** Runs a model whose inputs and outputs are tensors: each call is one run of its session. */
class TensorSessionEngine implements Engine {
  readonly #session: InferenceSession;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  async call(method: string, call: EngineCall): Promise<EngineAnswer> {
    if (method === 'ping') return { result: true };
    if (method !== 'run') throw new Error(`A tensor engine has no method ${method}`);
    const feeds: Record<string, Tensor> = {};
    for (const input of call.payload as NamedTensor[]) {
      feeds[input.name] = toOnnxTensor(input.datatype, input.data, input.shape);
    }
    const outputs = await this.#session.run(feeds);
    const result = this.#session.outputNames.map((name) => {
      const tensor = outputs[name];
      if (tensor === undefined) throw new Error(`The model gave no output ${name}`);
      return fromOnnxTensor(name, tensor);
    });
    return { result, transfer: result.flatMap(bufferOf) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }
}

function bufferOf(tensor: NamedTensor): TransferListItem[] {
  return ArrayBuffer.isView(tensor.data) ? [tensor.data.buffer as ArrayBuffer] : [];
}

await serveEngine(async (options) => {
  const { modelFile } = options as TensorEngineOptions;
  return new TensorSessionEngine(await openOnnxSession(modelFile));
});
