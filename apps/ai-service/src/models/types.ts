/** What the local models take and give. Plain values only: all of it crosses actor calls. */

/** The Open Inference Protocol's data types, each with the array that carries its elements. */
export interface TensorData {
  /** One byte per element, 0 or 1. */
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  /** IEEE half floats as their 16 bits. */
  FP16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  /** Text: every element is a UTF-8 string. */
  BYTES: string[];
}

export type TensorDatatype = keyof TensorData;

/** A tensor in row-major order; `data.length` is the product of `shape`. */
export type NamedTensor = {
  [D in TensorDatatype]: {
    name: string;
    datatype: D;
    shape: number[];
    data: TensorData[D];
  };
}[TensorDatatype];

/** One input or output of a model; -1 in `shape` is a dimension that the caller chooses. */
export interface TensorMetadata {
  name: string;
  datatype: TensorDatatype;
  shape: number[];
  /** Inputs only: the model has a default. */
  optional?: boolean;
}

export type ModelKind = 'embedding' | 'text-generation' | 'tensor';

/** What a model is, for `/v1/models` and the Open Inference Protocol's metadata. */
export interface ModelMetadata {
  /** Without the `local/` prefix, for example `use-lite`. */
  name: string;
  version: string;
  kind: ModelKind;
  /** The Open Inference Protocol's platform string, for example `onnxruntime_onnx`. */
  platform: string;
  description: string;
  license: string;
  inputs: TensorMetadata[];
  outputs: TensorMetadata[];
  /** Text models: tokens that fit. Longer text is cut by embedding models and refused by text generation. */
  contextTokens?: number;
  /** Embedding models: length of a vector. */
  dimensions?: number;
}

export interface EmbeddingResult {
  /** The vectors one after the other: `inputs.length × dimensions`, each of unit length. */
  vectors: Float32Array;
  dimensions: number;
  /** Tokens that went into each vector; text beyond the model's context does not count. */
  tokenCounts: number[];
}

export interface ChatMessage {
  role: string;
  content: string;
}

/** Text as it stands, tokens as they stand, or a conversation that the model's own template turns into text. */
export type GenerationPrompt =
  { text: string } | { tokenIds: readonly number[] } | { messages: readonly ChatMessage[] };

export interface GenerationRequest {
  prompt: GenerationPrompt;
  /** Default, and most: what the context leaves after the prompt. At least 1. */
  maxTokens?: number;
  /** 0 takes the likeliest token each time. 0 to 2; default 1. */
  temperature?: number;
  /** Samples among the likeliest tokens that together reach this probability. Above 0 to 1; default 1. */
  topP?: number;
  /** Same seed, same request: same text. Default: a random one. A safe integer. */
  seed?: number;
  /** Generation ends before the first of these; it is never part of the text. At most 16, none empty. */
  stop?: readonly string[];
}

/** `stop`: a stop sequence or the model's end of text. `length`: `maxTokens` or the context is used up. */
export type FinishReason = 'stop' | 'length';

export interface GenerationUsage {
  promptTokens: number;
  /** Tokens sampled so far, those of a stop sequence and the end of text included. */
  completionTokens: number;
}

export interface GenerationChunk {
  /** May be empty in the last chunk only. Concatenated chunks are the whole text; no character is ever split. */
  text: string;
  /** Set in the last chunk, and only there. */
  finishReason?: FinishReason;
  /** From the start of the request up to this chunk. */
  usage: GenerationUsage;
}

/** What every model replica offers, as an actor or in process. */
export interface LocalModel extends AsyncDisposable {
  metadata(): Promise<ModelMetadata>;
  /** Rejects when the replica cannot serve. */
  checkHealth(): Promise<void>;
  /**
   * The Open Inference Protocol's inference: all of the model's outputs for these inputs.
   * @throws ModelInputError for an unknown or missing input, a wrong datatype or shape, or a size over the limit.
   */
  infer(inputs: NamedTensor[]): Promise<NamedTensor[]>;
}

export interface LocalEmbeddingModel extends LocalModel {
  /** @throws ModelInputError for no input, too many inputs, or an empty one. */
  embed(inputs: string[]): Promise<EmbeddingResult>;
}

export interface LocalTextGenerationModel extends LocalModel {
  /**
   * Streams a completion. Leaving the loop, or aborting the call, ends the work within one token.
   * @throws ModelInputError for a prompt that does not fit and for options out of range, before the first chunk.
   */
  generate(request: GenerationRequest): AsyncGenerator<GenerationChunk, void, undefined>;
  countTokens(prompt: GenerationPrompt): Promise<number>;
}
