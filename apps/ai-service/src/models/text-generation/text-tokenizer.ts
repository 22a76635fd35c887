import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { ModelInputError } from '../errors.ts';
import type { CompiledPrompt } from './generation-request.ts';
import { tokenBytesOf, type TokenBytes } from './token-text.ts';

/** Text so many times too long for the context is not tokenized any more: the work would only say by how much. */
const HOPELESS_FACTOR = 16;

interface ModelConfig {
  vocab_size: number;
  max_position_embeddings: number;
  bos_token_id: number;
  eos_token_id: number;
}

/** A byte-level BPE tokenizer from a model's folder in Hugging Face's layout. */
export class TextTokenizer {
  readonly contextTokens: number;
  readonly endTokenId: number;
  readonly tokenBytes: TokenBytes;
  readonly #tokenizer: Tokenizer;
  readonly #beginTokenId: number;
  readonly #tokenBytesMax: number;

  constructor(tokenizer: Tokenizer, config: ModelConfig) {
    this.#tokenizer = tokenizer;
    this.contextTokens = config.max_position_embeddings;
    this.endTokenId = config.eos_token_id;
    this.#beginTokenId = config.bos_token_id;
    this.tokenBytes = tokenBytesOf(
      Array.from({ length: config.vocab_size }, (_, id) => tokenizer.id_to_token(id) ?? ''),
    );
    this.#tokenBytesMax = Math.max(...this.tokenBytes.map(({ length }) => length));
  }

  static async load(modelFolder: string): Promise<TextTokenizer> {
    const [tokenizer, tokenizerConfig, config] = await Promise.all(
      ['tokenizer.json', 'tokenizer_config.json', 'config.json'].map(
        async (name) => JSON.parse(await readFile(join(modelFolder, name), 'utf8')) as object,
      ),
    );
    return new TextTokenizer(
      new Tokenizer(tokenizer ?? {}, tokenizerConfig ?? {}),
      config as ModelConfig,
    );
  }

  /**
   * The prompt's tokens; an empty prompt is the beginning of a text.
   *
   * @throws ModelInputError for a token that does not exist and for text far beyond the context.
   */
  encode(prompt: CompiledPrompt): number[] {
    const tokenIds = 'text' in prompt ? this.#encodeText(prompt.text) : [...prompt.tokenIds];
    const unknown = tokenIds.find((id) => this.tokenBytes[id] === undefined);
    if (unknown !== undefined) {
      throw new ModelInputError(
        `There is no token ${unknown}; tokens go from 0 to ${this.tokenBytes.length - 1}`,
        'prompt',
      );
    }
    return tokenIds.length === 0 ? [this.#beginTokenId] : tokenIds;
  }

  #encodeText(text: string): number[] {
    const tokensLeast = Math.ceil(Buffer.byteLength(text) / this.#tokenBytesMax);
    if (tokensLeast > HOPELESS_FACTOR * this.contextTokens) {
      throw new ModelInputError(
        `The prompt has at least ${tokensLeast} tokens; the model's context is ${this.contextTokens} tokens`,
        undefined,
        'context_length_exceeded',
      );
    }
    return this.#tokenizer.encode(text).ids;
  }
}
