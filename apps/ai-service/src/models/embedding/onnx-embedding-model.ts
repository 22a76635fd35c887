import { readFile } from 'node:fs/promises';
import type { EmbeddingModelDescriptor } from '../catalog.ts';
import { EngineModel, whenLoaded } from '../engine/engine-model.ts';
import { TensorEngine } from '../engine/tensor-engine.ts';
import { ModelEngineError, ModelInputError } from '../errors.ts';
import { validateTensors } from '../tensors/validate-tensors.ts';
import type { EmbeddingResult, LocalEmbeddingModel, NamedTensor } from '../types.ts';
import {
  EmbeddingBatcher,
  type EmbeddingBatchLimits,
  type TokenSequence,
} from './embedding-batcher.ts';
import { UnigramTokenizer, type UnigramVocabulary } from './unigram-tokenizer.ts';

/** Larger batches gain nothing more and make the next one wait: a full one takes some 50 ms. */
const BATCH_LIMITS: EmbeddingBatchLimits = { rowsMax: 32, tokensMax: 512, waitingMax: 8192 };
/** The id that the graph leaves out of account. */
const PADDING_ID = 0n;

/** Sentence embeddings of an ONNX model with a SentencePiece unigram vocabulary. */
export class OnnxEmbeddingModel
  extends EngineModel<EmbeddingModelDescriptor, TensorEngine>
  implements LocalEmbeddingModel
{
  readonly #tokenizer: UnigramTokenizer;
  readonly #batcher: EmbeddingBatcher;

  private constructor(descriptor: EmbeddingModelDescriptor, vocabulary: UnigramVocabulary) {
    const { metadata, modelFile } = descriptor;
    super(descriptor, new TensorEngine(metadata.name, { modelFile }));
    this.#tokenizer = new UnigramTokenizer(vocabulary);
    this.#batcher = new EmbeddingBatcher((sequences) => this.#runBatch(sequences), BATCH_LIMITS);
  }

  /** @throws ModelEngineError when the model cannot be loaded. */
  static async load(descriptor: EmbeddingModelDescriptor): Promise<OnnxEmbeddingModel> {
    const vocabulary: unknown = JSON.parse(await readFile(descriptor.vocabularyFile, 'utf8'));
    return whenLoaded(new OnnxEmbeddingModel(descriptor, vocabulary as UnigramVocabulary));
  }

  async embed(inputs: string[], signal?: AbortSignal): Promise<EmbeddingResult> {
    const { contextTokens, dimensions } = this.descriptor.metadata;
    this.#validateTexts(inputs);
    const sequences = inputs.map((text) => this.#tokenizer.encode(text, contextTokens));
    const rows = await this.#batcher.embed(sequences, signal);
    const vectors = new Float32Array(inputs.length * dimensions);
    for (const [row, vector] of rows.entries()) vectors.set(vector, row * dimensions);
    return { vectors, dimensions, tokenCounts: sequences.map(({ length }) => length) };
  }

  async infer(inputs: NamedTensor[], signal?: AbortSignal): Promise<NamedTensor[]> {
    const { metadata, batchSizeMax } = this.descriptor;
    const text = validateTensors(inputs, metadata.inputs, batchSizeMax).get('text');
    if (text?.datatype !== 'BYTES') throw new ModelInputError('Input "text" is missing', 'inputs');
    const { vectors, dimensions } = await this.embed(text.data, signal);
    const shape = [text.data.length, dimensions];
    return [{ name: 'sentence_embedding', datatype: 'FP32', shape, data: vectors }];
  }

  #validateTexts(inputs: readonly string[]): void {
    const { batchSizeMax } = this.descriptor;
    if (inputs.length === 0) throw new ModelInputError('There is no text to embed', 'input');
    if (inputs.length > batchSizeMax) {
      throw new ModelInputError(
        `There are ${inputs.length} texts to embed; one request may have ${batchSizeMax}`,
        'input',
      );
    }
    for (const [index, text] of inputs.entries()) {
      if (typeof text === 'string' && text !== '') continue;
      const what = text === '' ? 'is empty' : 'is not text';
      throw new ModelInputError(`Text ${index} ${what}`, `input[${index}]`);
    }
  }

  async #runBatch(sequences: readonly TokenSequence[]): Promise<Float32Array> {
    // A text without any known character has no tokens; the graph wants at least one column.
    const width = Math.max(1, ...sequences.map(({ length }) => length));
    const inputIds = new BigInt64Array(sequences.length * width).fill(PADDING_ID);
    for (const [row, sequence] of sequences.entries()) {
      for (const [column, id] of sequence.entries()) inputIds[row * width + column] = BigInt(id);
    }
    const shape = [sequences.length, width];
    const [output] = await this.engine.run(
      [{ name: 'input_ids', datatype: 'INT64', shape, data: inputIds }],
      { transfer: [inputIds.buffer] },
    );
    if (output?.datatype !== 'FP32') throw new ModelEngineError('The model gave no FP32 output');
    return output.data;
  }
}
