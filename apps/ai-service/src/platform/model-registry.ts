import { setTimeout as delay } from 'node:timers/promises';
import { type ActorHandle, type ActorOptions, kill, MantaError } from '@manta/sdk';
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
import { type Replica, Replicas } from './replicas.ts';

const CALL_TIMEOUT_MS = 60_000;
/** Of a whole generation, the waiting for its turn included. */
const GENERATION_TIMEOUT_MS = 600_000;
const HEALTH_CHECK_INTERVAL_MS = 5_000;
/** A replica that is being started answers its first check only when its model is loaded. */
const HEALTH_CHECK_TIMEOUT_MS = 120_000;
const RETRY_MS = 500;
/** On one replica, running or waiting; more are refused with 429 rather than kept waiting without end. */
const PENDING_CALLS_MAX = 1024;

export interface ActorModelRegistryOptions {
  logger: Logger;
  /** Of each model; default 1. */
  replicasPerModel?: number;
}

/** The catalogue's models, each served by replicas that are actors of this process's job. */
export class ActorModelRegistry implements ModelRegistry, AsyncDisposable {
  readonly #options: ActorModelRegistryOptions;
  readonly #models: ActorModel[];
  readonly #byName = new Map<string, ActorModel>();
  readonly #closing = new AbortController();

  constructor(options: ActorModelRegistryOptions) {
    this.#options = options;
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

  /** Places the replicas. Settles when every model has one that answers. `onReady` is told of each model. */
  async start(onReady: (model: ServedModel) => void): Promise<void> {
    await Promise.all(
      this.#models.map(async (model) => {
        const replicas = Array.from({ length: this.#options.replicasPerModel ?? 1 }, () =>
          model.replicas.add(),
        );
        await Promise.race(replicas.map((replica) => this.#checkUntilHealthy(model, replica)));
        onReady(model);
      }),
    );
    for (const model of this.#models) void this.#watch(model);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const replicas = this.#models.flatMap((model) => [...model.replicas.list()]);
    await Promise.allSettled(replicas.map((replica) => kill(replica.handle)));
  }

  /** Never rejects; ends with the registry. */
  async #watch(model: ActorModel): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await Promise.all(
        model.replicas.list().map((replica) => this.#checkUntilHealthy(model, replica)),
      );
      await delay(HEALTH_CHECK_INTERVAL_MS, undefined, { signal, ref: false }).catch(
        () => undefined,
      );
    }
  }

  async #checkUntilHealthy(model: ActorModel, first: Replica<ModelHandle>): Promise<void> {
    const { signal } = this.#closing;
    let replica = first;
    while (!signal.aborted) {
      try {
        await replica.handle.checkHealth.options({ timeoutMs: HEALTH_CHECK_TIMEOUT_MS })();
        replica.healthy = true;
        return;
      } catch (error) {
        // Too busy to be asked is not dead.
        if (signal.aborted || MantaError.is(error, 'BackpressureError')) return;
        replica.healthy = false;
        this.#options.logger.warn({ err: error, model: model.id }, 'a replica does not answer');
        if (MantaError.is(error, 'ActorDiedError')) replica = model.replicas.replace(replica);
        await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
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
