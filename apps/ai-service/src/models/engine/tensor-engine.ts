import type { NamedTensor } from '../types.ts';
import { builtModuleFile } from './built-module.ts';
import { EngineThread, type EngineCallOptions } from './engine-thread.ts';

export interface TensorEngineOptions {
  modelFile: string;
}

/** An ONNX session in a thread of its own: tensors in, tensors out, one run at a time in the order of the calls. */
export class TensorEngine implements AsyncDisposable {
  readonly #thread: EngineThread;

  constructor(name: string, options: TensorEngineOptions) {
    this.#thread = new EngineThread({
      name,
      entryFile: builtModuleFile('models/engine/tensor-engine-worker'),
      options,
    });
  }

  get failed(): Promise<Error> {
    return this.#thread.failed;
  }

  /** Names are the model's own. Buffers in `transfer` move to the engine and cannot be used afterwards. */
  async run(
    inputs: readonly NamedTensor[],
    options: EngineCallOptions = {},
  ): Promise<NamedTensor[]> {
    return (await this.#thread.call('run', inputs, options)) as NamedTensor[];
  }

  /** Rejects when the engine cannot serve. */
  async ping(): Promise<void> {
    await this.#thread.started;
    await this.#thread.call('ping', undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]();
  }
}
