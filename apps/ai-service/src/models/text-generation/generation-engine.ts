import { builtModuleFile } from '../engine/built-module.ts';
import { EngineThread } from '../engine/engine-thread.ts';
import type { GenerationChunk } from '../types.ts';
import type { CompiledGenerationRequest, CompiledPrompt } from './generation-request.ts';
import type { GenerationSchedulerLimits } from './generation-scheduler.ts';

export interface GenerationEngineOptions {
  modelFolder: string;
  limits: GenerationSchedulerLimits;
}

/** Tokenizer, model and decoding loop in a thread of their own: text comes out. */
export class GenerationEngine implements AsyncDisposable {
  readonly #thread: EngineThread;

  constructor(name: string, options: GenerationEngineOptions) {
    const entryFile = builtModuleFile('models/text-generation/generation-engine-worker');
    this.#thread = new EngineThread({ name, entryFile, options });
  }

  get failed(): Promise<Error> {
    return this.#thread.failed;
  }

  generate(
    request: CompiledGenerationRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerationChunk, void, undefined> {
    const chunks = this.#thread.stream('generate', request, { signal });
    return chunks as AsyncGenerator<GenerationChunk, void, undefined>;
  }

  async countTokens(prompt: CompiledPrompt): Promise<number> {
    return (await this.#thread.call('countTokens', prompt)) as number;
  }

  /** Rejects when the engine cannot serve. */
  async ping(): Promise<void> {
    await this.#thread.started;
    await this.#thread.call('ping', undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]();
  }
}
