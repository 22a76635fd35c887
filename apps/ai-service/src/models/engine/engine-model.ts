import type { ModelMetadata } from '../types.ts';

/** What runs a model, in a thread of its own. */
interface Engine extends AsyncDisposable {
  readonly failed: Promise<Error>;
  ping(): Promise<void>;
}

/** What all models with an engine have in common. */
export abstract class EngineModel<
  Descriptor extends { metadata: ModelMetadata },
  ModelEngine extends Engine,
> implements AsyncDisposable {
  protected readonly descriptor: Descriptor;
  protected readonly engine: ModelEngine;

  protected constructor(descriptor: Descriptor, engine: ModelEngine) {
    this.descriptor = descriptor;
    this.engine = engine;
  }

  /** Resolves with the reason when the engine has died and the model can serve no more. */
  get failed(): Promise<Error> {
    return this.engine.failed;
  }

  async metadata(): Promise<ModelMetadata> {
    return this.descriptor.metadata;
  }

  async checkHealth(): Promise<void> {
    await this.engine.ping();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
  }
}

/** The model once it answers. @throws ModelEngineError when it cannot be loaded. */
export async function whenLoaded<M extends { checkHealth(): Promise<void> }>(model: M): Promise<M> {
  await model.checkHealth();
  return model;
}
