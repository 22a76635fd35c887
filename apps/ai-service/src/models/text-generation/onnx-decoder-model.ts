import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { openOnnxSession, toOnnxTensor } from '../engine/onnx-session.ts';
import type { DecoderModel, ForwardResult } from './decoder-model.ts';
import type { KeyValueCache, KeyValueLayout } from './key-value-cache.ts';

const PAST_PREFIX = 'past_key_values.';
const PRESENT_PREFIX = 'present.';

/** A decoder with the input and output names that Hugging Face exports use. */
export class OnnxDecoderModel implements DecoderModel, AsyncDisposable {
  readonly layout: KeyValueLayout;
  readonly #session: InferenceSession;
  readonly #pastNames: readonly string[];

  private constructor(session: InferenceSession) {
    this.#session = session;
    this.#pastNames = session.inputNames.filter((name) => name.startsWith(PAST_PREFIX));
    const past = session.inputMetadata.find(({ name }) => name === this.#pastNames[0]);
    const [, heads, , headSize] = past?.isTensor === true ? past.shape : [];
    if (typeof heads !== 'number' || typeof headSize !== 'number') {
      throw new Error('The model has no key-value cache of a known shape');
    }
    this.layout = { tensorCount: this.#pastNames.length, heads, headSize };
  }

  static async open(file: string): Promise<OnnxDecoderModel> {
    return new OnnxDecoderModel(await openOnnxSession(file));
  }

  async forward(
    tokenIds: readonly (readonly number[])[],
    cache: KeyValueCache,
  ): Promise<ForwardResult> {
    const outputs = await this.#session.run(this.#feeds(tokenIds, cache));
    const appended = tokenIds[0]?.length ?? 0;
    const tensors = this.#pastNames.map((name) =>
      floatsOf(outputs, name.replace(PAST_PREFIX, PRESENT_PREFIX)),
    );
    return {
      logits: lastLogits(floatsOf(outputs, 'logits'), tokenIds.length, appended),
      cache: {
        lengths: cache.lengths.map((length) => length + appended),
        width: cache.width + appended,
        tensors,
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }

  #feeds(tokenIds: readonly (readonly number[])[], cache: KeyValueCache): Record<string, Tensor> {
    const rows = tokenIds.length;
    const appended = tokenIds[0]?.length ?? 0;
    const total = cache.width + appended;
    const inputIds = new BigInt64Array(rows * appended);
    const positionIds = new BigInt64Array(rows * appended);
    const attentionMask = new BigInt64Array(rows * total);
    for (const [row, ids] of tokenIds.entries()) {
      const length = cache.lengths[row] ?? 0;
      for (const [column, id] of ids.entries()) {
        inputIds[row * appended + column] = BigInt(id);
        positionIds[row * appended + column] = BigInt(length + column);
      }
      attentionMask.fill(1n, row * total + cache.width - length, (row + 1) * total);
    }
    const feeds: Record<string, Tensor> = {
      input_ids: toOnnxTensor('INT64', inputIds, [rows, appended]),
      position_ids: toOnnxTensor('INT64', positionIds, [rows, appended]),
      attention_mask: toOnnxTensor('INT64', attentionMask, [rows, total]),
    };
    const { heads, headSize } = this.layout;
    for (const [index, name] of this.#pastNames.entries()) {
      const past = cache.tensors[index] ?? new Float32Array(0);
      feeds[name] = toOnnxTensor('FP32', past, [rows, heads, cache.width, headSize]);
    }
    return feeds;
  }
}

function floatsOf(outputs: Readonly<Record<string, Tensor>>, name: string): Float32Array {
  const data = outputs[name]?.data;
  if (!(data instanceof Float32Array)) throw new Error(`The model gave no FP32 output ${name}`);
  return data;
}

/** Logits are `[rows, appended, vocabulary]`; only the last position of each row says what follows. */
function lastLogits(logits: Float32Array, rows: number, appended: number): Float32Array[] {
  const vocabularySize = logits.length / (rows * appended);
  return Array.from({ length: rows }, (_, row) => {
    const end = (row + 1) * appended * vocabularySize;
    return logits.subarray(end - vocabularySize, end);
  });
}
