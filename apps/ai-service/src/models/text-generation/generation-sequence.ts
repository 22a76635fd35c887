import type { FinishReason, GenerationChunk } from '../types.ts';
import { sampleToken, type SamplingOptions } from './sampler.ts';
import { StopMatcher } from './stop-matcher.ts';
import { IncrementalDetokenizer, type TokenBytes } from './token-text.ts';

export interface GenerationSequenceOptions extends SamplingOptions {
  promptTokenIds: readonly number[];
  /** At least 1; together with the prompt it fits the model's context. */
  maxTokens: number;
  stop: readonly string[];
  endTokenId: number;
  tokenBytes: TokenBytes;
  random: () => number;
}

/** One completion in the making: from logits to tokens, from tokens to text, and when it ends. Without any I/O. */
export class GenerationSequence {
  readonly promptTokenIds: readonly number[];
  readonly #options: GenerationSequenceOptions;
  readonly #detokenizer: IncrementalDetokenizer;
  readonly #stopMatcher: StopMatcher;
  #completionTokens = 0;
  #lastTokenId: number;
  #finishReason: FinishReason | undefined;

  constructor(options: GenerationSequenceOptions) {
    this.promptTokenIds = options.promptTokenIds;
    this.#options = options;
    this.#detokenizer = new IncrementalDetokenizer(options.tokenBytes);
    this.#stopMatcher = new StopMatcher(options.stop);
    this.#lastTokenId = options.promptTokenIds.at(-1) ?? options.endTokenId;
  }

  /** The token that the model has to see next. */
  get lastTokenId(): number {
    return this.#lastTokenId;
  }

  get finished(): boolean {
    return this.#finishReason !== undefined;
  }

  /** Takes the logits of the next position. Returns what can be sent: nothing while all new text is held back. */
  accept(logits: Float32Array): GenerationChunk | undefined {
    this.#lastTokenId = sampleToken(logits, this.#options, this.#options.random);
    this.#completionTokens++;
    const text = this.#textOf(this.#lastTokenId);
    if (text === '' && !this.finished) return undefined;
    const usage = {
      promptTokens: this.promptTokenIds.length,
      completionTokens: this.#completionTokens,
    };
    if (this.#finishReason === undefined) return { text, usage };
    return { text, usage, finishReason: this.#finishReason };
  }

  #textOf(tokenId: number): string {
    if (tokenId === this.#options.endTokenId) return this.#finish('stop', '');
    const { text, stopped } = this.#stopMatcher.push(this.#detokenizer.push(tokenId));
    if (stopped) {
      this.#finishReason = 'stop';
      return text;
    }
    return this.#completionTokens < this.#options.maxTokens ? text : this.#finish('length', text);
  }

  /** The text with all that was held back; a stop sequence may be completed by its last, broken character only. */
  #finish(reason: FinishReason, text: string): string {
    const { text: last, stopped } = this.#stopMatcher.push(this.#detokenizer.flush());
    this.#finishReason = stopped ? 'stop' : reason;
    return text + last + this.#stopMatcher.flush();
  }
}
