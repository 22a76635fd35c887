import type {
  EmbeddingResult,
  GenerationChunk,
  GenerationRequest,
  ModelMetadata,
  NamedTensor,
} from '../models/types.ts';

/** What a call carries besides its input. */
export interface ModelCallOptions {
  /** Ends the work: the client left or cancelled. Calls by one client only may leave it out. */
  signal: AbortSignal;
}

/**
 * One version of a model as the gateway sees it: somewhere behind it are replicas, and a call goes to one of them.
 * A model serves what its kind says, and tensors besides.
 */
export interface ServedModel {
  /** The name clients use, with its prefix: `local/use-lite`. */
  readonly id: string;
  readonly metadata: ModelMetadata;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** A replica can answer now. */
  readonly ready: boolean;
  readonly embed?: (inputs: string[], options: ModelCallOptions) => Promise<EmbeddingResult>;
  readonly generate?: (
    request: GenerationRequest,
    options: ModelCallOptions,
  ) => AsyncIterable<GenerationChunk>;
  readonly infer: (inputs: NamedTensor[], options: ModelCallOptions) => Promise<NamedTensor[]>;
}

export interface ModelRegistry {
  list(): readonly ServedModel[];
  /**
   * By `local/<name>`, `local/<name>@<version>`, or, as the Open Inference Protocol has no prefixes, `<name>` alone.
   * Without a version: the newest.
   */
  find(id: string, version?: string): ServedModel | undefined;
}
