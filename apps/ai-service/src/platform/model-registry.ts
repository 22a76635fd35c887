import { type ActorHandle, type ActorOptions, kill } from '@manta/sdk';
import type { ModelCallOptions, ModelRegistry, ServedModel } from '../gateway/model-registry.ts';
import type { Logger } from '../gateway/logger.ts';
import { MODEL_CATALOG, type ModelDescriptor } from '../models/catalog.ts';
import {
  EmbeddingModelActor,
  type EmbeddingModel,
  TensorModelActor,
  type TensorModel,
  TextGenerationModelActor,
  type TextGenerationModel,
} from '../models/model-actors.ts';
import type { GenerationRequest, NamedTensor } from '../models/types.ts';
import { ReplicaHealth } from './replica-health.ts';
import { Replicas } from './replicas.ts';

const CALL_TIMEOUT_MS = 60_000;
/** Of a whole generation, the waiting for its turn included. */
const GENERATION_TIMEOUT_MS = 600_000;
const HEALTH_CHECK_INTERVAL_MS = 5_000;
/**
 * A replica that is being started answers its first check only when its model is loaded; later one waits for what the engine
 * does, which no call may let last so long. Who does not answer by then hangs.
 */
const HEALTH_CHECK_TIMEOUT_MS = 120_000;
const RETRY_MS = 500;
/** A model that so many replicas could not load fails the start; later they try again without end. */
const START_LOADS_MAX = 3;
/** On one replica, running or waiting; more are refused with 429 rather than kept waiting without end. */
const PENDING_CALLS_MAX = 1024;

export interface ActorModelRegistryOptions {
  logger: Logger;
  replicasPerModel: number;
}

/** The catalogue's models, each served by replicas that are actors of this process's job. */
export class ActorModelRegistry implements ModelRegistry, AsyncDisposable {
  readonly #options: ActorModelRegistryOptions;
  readonly #models: ActorModel[];
  readonly #byName = new Map<string, ActorModel>();
  readonly #closing = new AbortController();
  readonly #health: ReplicaHealth<ModelHandle>;

  constructor(options: ActorModelRegistryOptions) {
    this.#options = options;
    this.#health = new ReplicaHealth({
      logger: options.logger,
      signal: this.#closing.signal,
      check: (handle) => handle.checkHealth.options({ timeoutMs: HEALTH_CHECK_TIMEOUT_MS })(),
      end: (handle) => kill(handle),
      retryMs: RETRY_MS,
      intervalMs: HEALTH_CHECK_INTERVAL_MS,
    });
    this.#models = [...MODEL_CATALOG.values()].map((descriptor) => createModel(descriptor));
    for (const model of this.#models) this.#byName.set(model.metadata.name, model);
  }

  list(): readonly ServedModel[] {
    return this.#models;
  }

  find(id: string, version?: string): ServedModel | undefined {
    const name = id.startsWith('local/') ? id.slice('local/'.length) : id;
    const at = name.indexOf('@');
    const model = this.#byName.get(at < 0 ? name : name.slice(0, at));
    const wanted = version ?? (at < 0 ? undefined : name.slice(at + 1));
    return wanted === undefined || wanted === model?.metadata.version ? model : undefined;
  }

  /**
   * Places the replicas of one of these models. Resolves when one of them answers.
   * @throws the error of the last attempt when the model cannot be loaded.
   */
  async start(served: ServedModel): Promise<void> {
    const { replicas, id } = this.#byName.get(served.metadata.name) as ActorModel;
    const { replicasPerModel } = this.#options;
    const starts = Array.from({ length: replicasPerModel }, () =>
      this.#health.untilHealthy(replicas, replicas.add(), id, START_LOADS_MAX),
    );
    try {
      await Promise.any(starts);
    } catch (error) {
      throw (error as AggregateError).errors.at(-1);
    }
    void this.#health.watch(replicas, id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const replicas = this.#models.flatMap((model) => [...model.replicas.list()]);
    await Promise.allSettled(replicas.map((replica) => kill(replica.handle)));
  }
}

type ModelHandle = ActorHandle<EmbeddingModel | TextGenerationModel | TensorModel>;

interface ActorModel extends ServedModel {
  readonly replicas: Replicas<ModelHandle>;
}

/** Health checks have a turn of their own, so that a busy replica is not taken for a dead one. */
function replicaOptions({ resources }: ModelDescriptor): ActorOptions {
  return {
    ...resources,
    maxPendingCalls: PENDING_CALLS_MAX,
    concurrencyGroups: { health: 1 },
    concurrencyGroupOf: { checkHealth: 'health' },
  };
}

function createModel(descriptor: ModelDescriptor): ActorModel {
  const { metadata } = descriptor;
  switch (metadata.kind) {
    case 'embedding':
      return embeddingModel(descriptor);
    case 'text-generation':
      return textGenerationModel(descriptor);
    case 'tensor':
      return servedModel(
        descriptor,
        new Replicas(() =>
          TensorModelActor.options(replicaOptions(descriptor)).create(metadata.name),
        ),
      );
  }
}

function embeddingModel(descriptor: ModelDescriptor): ActorModel {
  const { metadata } = descriptor;
  const replicas = new Replicas<ActorHandle<EmbeddingModel>>(() =>
    EmbeddingModelActor.options(replicaOptions(descriptor)).create(metadata.name),
  );
  return Object.assign(servedModel(descriptor, replicas), {
    embed: (inputs: string[], { signal }: ModelCallOptions) =>
      replicas.call((handle) =>
        handle.embed.options({ signal, timeoutMs: CALL_TIMEOUT_MS })(inputs),
      ),
  });
}

function textGenerationModel(descriptor: ModelDescriptor): ActorModel {
  const { metadata } = descriptor;
  const replicas = new Replicas<ActorHandle<TextGenerationModel>>(() =>
    TextGenerationModelActor.options(replicaOptions(descriptor)).create(metadata.name),
  );
  return Object.assign(servedModel(descriptor, replicas), {
    generate: (request: GenerationRequest, { signal }: ModelCallOptions) =>
      replicas.stream((handle) =>
        handle.generate.options({ signal, timeoutMs: GENERATION_TIMEOUT_MS })(request),
      ),
  });
}

function servedModel<H extends ModelHandle>(
  { metadata }: ModelDescriptor,
  replicas: Replicas<H>,
): ActorModel {
  return {
    id: `local/${metadata.name}`,
    metadata,
    createdAt: Date.now(),
    replicas: replicas as unknown as Replicas<ModelHandle>,
    get ready(): boolean {
      return replicas.healthy;
    },
    infer: (inputs: NamedTensor[], { signal }) =>
      replicas.call((handle) =>
        (handle as ModelHandle).infer.options({ signal, timeoutMs: CALL_TIMEOUT_MS })(inputs),
      ),
  };
}
