import { randomInt } from 'node:crypto';
import type { TextGenerationModelDescriptor } from '../catalog.ts';
import { EngineModel, whenLoaded } from '../engine/engine-model.ts';
import { ModelInputError } from '../errors.ts';
import { validateTensors } from '../tensors/validate-tensors.ts';
import type {
  GenerationChunk,
  GenerationPrompt,
  GenerationRequest,
  LocalTextGenerationModel,
  NamedTensor,
} from '../types.ts';
import { GenerationEngine } from './generation-engine.ts';
import { compileGenerationRequest, compilePrompt } from './generation-request.ts';

/** Sequences decoded together: beyond this the engine gains little and each stream gets slow. */
const RUNNING_MAX = 16;
const WAITING_MAX = 256;
const SEED_RANGE = 2 ** 32;

/** Text generation by an ONNX decoder with a key-value cache. */
export class OnnxTextGenerationModel
  extends EngineModel<TextGenerationModelDescriptor, GenerationEngine>
  implements LocalTextGenerationModel
{
  private constructor(descriptor: TextGenerationModelDescriptor) {
    const { metadata, modelFolder } = descriptor;
    const limits = { runningMax: RUNNING_MAX, waitingMax: WAITING_MAX };
    super(descriptor, new GenerationEngine(metadata.name, { modelFolder, limits }));
  }

  /** @throws ModelEngineError when the model cannot be loaded. */
  static async load(descriptor: TextGenerationModelDescriptor): Promise<OnnxTextGenerationModel> {
    return whenLoaded(new OnnxTextGenerationModel(descriptor));
  }

  async *generate(
    request: GenerationRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerationChunk, void, undefined> {
    yield* this.engine.generate(
      compileGenerationRequest(request, () => randomInt(SEED_RANGE)),
      signal,
    );
  }

  async countTokens(prompt: GenerationPrompt): Promise<number> {
    return this.engine.countTokens(compilePrompt(prompt));
  }

  async infer(inputs: NamedTensor[], signal?: AbortSignal): Promise<NamedTensor[]> {
    const { metadata, batchSizeMax } = this.descriptor;
    const request = requestOf(validateTensors(inputs, metadata.inputs, batchSizeMax));
    let text = '';
    for await (const chunk of this.generate(request, signal)) text += chunk.text;
    return [{ name: 'text_output', datatype: 'BYTES', shape: [1], data: [text] }];
  }
}

/** Tensors that have been validated: each has the declared datatype and one element. */
function requestOf(tensors: ReadonlyMap<string, NamedTensor>): GenerationRequest {
  const elementOf = (name: string): string | number | bigint | undefined =>
    tensors.get(name)?.data[0];
  const [text, maxTokens, temperature, seed] = [
    'text_input',
    'max_tokens',
    'temperature',
    'seed',
  ].map(elementOf);
  if (typeof text !== 'string')
    throw new ModelInputError('Input "text_input" is missing', 'inputs');
  return {
    prompt: { text },
    ...(maxTokens !== undefined && { maxTokens: Number(maxTokens) }),
    ...(temperature !== undefined && { temperature: Number(temperature) }),
    ...(seed !== undefined && { seed: Number(BigInt.asIntN(53, BigInt(seed))) }),
  };
}
