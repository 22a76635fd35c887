import type { TensorModelDescriptor } from '../catalog.ts';
import { EngineModel, whenLoaded } from '../engine/engine-model.ts';
import { TensorEngine } from '../engine/tensor-engine.ts';
import { ModelEngineError } from '../errors.ts';
import type { LocalModel, NamedTensor } from '../types.ts';
import { validateTensors } from './validate-tensors.ts';

/** An ONNX model served as it is: tensors in, tensors out. */
export class OnnxTensorModel
  extends EngineModel<TensorModelDescriptor, TensorEngine>
  implements LocalModel
{
  private constructor(descriptor: TensorModelDescriptor) {
    const { metadata, modelFile } = descriptor;
    super(descriptor, new TensorEngine(metadata.name, { modelFile }));
  }

  /** @throws ModelEngineError when the model cannot be loaded. */
  static async load(descriptor: TensorModelDescriptor): Promise<OnnxTensorModel> {
    return whenLoaded(new OnnxTensorModel(descriptor));
  }

  async infer(inputs: NamedTensor[], signal?: AbortSignal): Promise<NamedTensor[]> {
    const { metadata, batchSizeMax } = this.descriptor;
    validateTensors(inputs, metadata.inputs, batchSizeMax);
    const feeds = inputs.map((input) => ({ ...input, name: this.#graphName(input.name) }));
    const results = await this.engine.run(feeds, { signal });
    return metadata.outputs.map(({ name }) => {
      const result = results.find((candidate) => candidate.name === this.#graphName(name));
      if (result === undefined) throw new ModelEngineError(`The model gave no output ${name}`);
      return { ...result, name };
    });
  }

  #graphName(name: string): string {
    return this.descriptor.graphNames[name] ?? name;
  }
}
