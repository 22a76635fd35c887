import type { TensorModelDescriptor } from '../catalog.ts';
import { TensorEngine } from '../engine/tensor-engine.ts';
import { ModelEngineError } from '../errors.ts';
import type { LocalModel, ModelMetadata, NamedTensor } from '../types.ts';
import { validateTensors } from './validate-tensors.ts';

/** An ONNX model served as it is: tensors in, tensors out. */
export class OnnxTensorModel implements LocalModel {
  readonly #descriptor: TensorModelDescriptor;
  readonly #engine: TensorEngine;

  private constructor(descriptor: TensorModelDescriptor) {
    this.#descriptor = descriptor;
    this.#engine = new TensorEngine(descriptor.metadata.name, { modelFile: descriptor.modelFile });
  }

  /** @throws ModelEngineError when the model cannot be loaded. */
  static async load(descriptor: TensorModelDescriptor): Promise<OnnxTensorModel> {
    const model = new OnnxTensorModel(descriptor);
    await model.checkHealth();
    return model;
  }

  /** Resolves with the reason when the engine has died and the model can serve no more. */
  get failed(): Promise<Error> {
    return this.#engine.failed;
  }

  async metadata(): Promise<ModelMetadata> {
    return this.#descriptor.metadata;
  }

  async checkHealth(): Promise<void> {
    await this.#engine.ping();
  }

  async infer(inputs: NamedTensor[], signal?: AbortSignal): Promise<NamedTensor[]> {
    const { metadata, batchSizeMax } = this.#descriptor;
    validateTensors(inputs, metadata.inputs, batchSizeMax);
    const feeds = inputs.map((input) => ({ ...input, name: this.#graphName(input.name) }));
    const results = await this.#engine.run(feeds, { signal });
    return metadata.outputs.map(({ name }) => {
      const result = results.find((candidate) => candidate.name === this.#graphName(name));
      if (result === undefined) throw new ModelEngineError(`The model gave no output ${name}`);
      return { ...result, name };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
  }

  #graphName(name: string): string {
    return this.#descriptor.graphNames[name] ?? name;
  }
}
