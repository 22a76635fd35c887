import { defineActor, runtimeContext, type ActorOptions } from '@manta/sdk';
import { MODEL_CATALOG, type ModelDescriptor } from './catalog.ts';
import { OnnxEmbeddingModel } from './embedding/onnx-embedding-model.ts';
import { ModelInputError } from './errors.ts';
import { OnnxTensorModel } from './tensors/onnx-tensor-model.ts';
import { OnnxTextGenerationModel } from './text-generation/onnx-text-generation-model.ts';
import type {
  EmbeddingResult,
  GenerationChunk,
  GenerationPrompt,
  GenerationRequest,
  LocalEmbeddingModel,
  LocalModel,
  LocalTextGenerationModel,
  ModelKind,
  ModelMetadata,
  NamedTensor,
} from './types.ts';

/** A model in this process; its engine has a thread of its own. */
interface LoadedModel extends LocalModel {
  readonly failed: Promise<Error>;
  infer(inputs: NamedTensor[], signal?: AbortSignal): Promise<NamedTensor[]>;
}

/**
 * One replica of a model. It loads while calls queue up; when it cannot load, each call and `checkHealth` say why. An
 * engine that dies later takes the actor with it, so that the actor's restart rule applies.
 */
abstract class ModelReplica<M extends LoadedModel> implements LocalModel {
  protected readonly model: Promise<M>;

  constructor(model: Promise<M>) {
    this.model = model;
    model.then(crashWhenItFails, () => undefined);
  }

  async metadata(): Promise<ModelMetadata> {
    return (await this.model).metadata();
  }

  async checkHealth(): Promise<void> {
    await (await this.model).checkHealth();
  }

  async infer(inputs: NamedTensor[]): Promise<NamedTensor[]> {
    const { signal } = runtimeContext();
    return (await this.model).infer(inputs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const model = await this.model.catch(() => undefined);
    await model?.[Symbol.asyncDispose]();
  }
}

export class EmbeddingModel
  extends ModelReplica<OnnxEmbeddingModel>
  implements LocalEmbeddingModel
{
  /** @param modelName In the catalogue, for example `use-lite`. */
  constructor(modelName: string) {
    super(OnnxEmbeddingModel.load(describe(modelName, 'embedding')));
  }

  async embed(inputs: string[]): Promise<EmbeddingResult> {
    const { signal } = runtimeContext();
    return (await this.model).embed(inputs, signal);
  }
}

export class TextGenerationModel
  extends ModelReplica<OnnxTextGenerationModel>
  implements LocalTextGenerationModel
{
  /** @param modelName In the catalogue, for example `tiny-moby`. */
  constructor(modelName: string) {
    super(OnnxTextGenerationModel.load(describe(modelName, 'text-generation')));
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationChunk, void, undefined> {
    const { signal } = runtimeContext();
    yield* (await this.model).generate(request, signal);
  }

  async countTokens(prompt: GenerationPrompt): Promise<number> {
    return (await this.model).countTokens(prompt);
  }
}

export class TensorModel extends ModelReplica<OnnxTensorModel> {
  /** @param modelName In the catalogue, for example `text-orientation`. */
  constructor(modelName: string) {
    super(OnnxTensorModel.load(describe(modelName, 'tensor')));
  }
}

/** A replica's calls overlap: the engine batches or interleaves them, and all loading is from local files. */
const REPLICA_OPTIONS: ActorOptions = { maxConcurrency: 64, maxRestarts: -1 };

export const EmbeddingModelActor = defineActor(import.meta, EmbeddingModel, REPLICA_OPTIONS);
export const TextGenerationModelActor = defineActor(
  import.meta,
  TextGenerationModel,
  REPLICA_OPTIONS,
);
export const TensorModelActor = defineActor(import.meta, TensorModel, REPLICA_OPTIONS);

function describe<K extends ModelKind>(
  modelName: string,
  kind: K,
): Extract<ModelDescriptor, { metadata: { kind: K } }> {
  const descriptor = MODEL_CATALOG.get(modelName);
  if (descriptor?.metadata.kind !== kind) {
    throw new ModelInputError(`There is no ${kind} model ${modelName} in the catalogue`, 'model');
  }
  return descriptor as Extract<ModelDescriptor, { metadata: { kind: K } }>;
}

/** Throws outside of any call: to the host this is a crash of the actor, not a failed call. */
async function crashWhenItFails({ failed }: LoadedModel): Promise<void> {
  const error = await failed;
  setImmediate(() => {
    throw error;
  });
}
