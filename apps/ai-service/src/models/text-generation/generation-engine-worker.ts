import { join } from 'node:path';
import {
  serveEngine,
  type Engine,
  type EngineAnswer,
  type EngineCall,
} from '../engine/serve-engine.ts';
import { ModelInputError } from '../errors.ts';
import type { GenerationEngineOptions } from './generation-engine.ts';
import type { CompiledGenerationRequest, CompiledPrompt } from './generation-request.ts';
import { GenerationScheduler, type GenerationSchedulerLimits } from './generation-scheduler.ts';
import { GenerationSequence } from './generation-sequence.ts';
import { OnnxDecoderModel } from './onnx-decoder-model.ts';
import { seededRandom } from './seeded-random.ts';
import { TextTokenizer } from './text-tokenizer.ts';

class TextGenerationEngine implements Engine {
  readonly #tokenizer: TextTokenizer;
  readonly #model: OnnxDecoderModel;
  readonly #scheduler: GenerationScheduler;

  constructor(
    tokenizer: TextTokenizer,
    model: OnnxDecoderModel,
    limits: GenerationSchedulerLimits,
  ) {
    this.#tokenizer = tokenizer;
    this.#model = model;
    this.#scheduler = new GenerationScheduler(model, limits);
  }

  async call(method: string, call: EngineCall): Promise<EngineAnswer> {
    switch (method) {
      case 'ping':
        return { result: true };
      case 'countTokens':
        return { result: this.#tokenizer.encode(call.payload as CompiledPrompt).length };
      case 'generate':
        await this.#generate(call);
        return { result: undefined };
      default:
        throw new Error(`A text generation engine has no method ${method}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scheduler.idle();
    await this.#model[Symbol.asyncDispose]();
  }

  async #generate({ payload, signal, send }: EngineCall): Promise<void> {
    const request = payload as CompiledGenerationRequest;
    const promptTokenIds = this.#tokenizer.encode(request.prompt);
    const { contextTokens, endTokenId, tokenBytes } = this.#tokenizer;
    const tokensLeft = contextTokens - promptTokenIds.length;
    if (tokensLeft < 1) {
      throw new ModelInputError(
        `The prompt has ${promptTokenIds.length} tokens; the model's context is ${contextTokens} tokens ` +
          'for the prompt and at least one more. Shorten the prompt.',
        undefined,
        'context_length_exceeded',
      );
    }
    const sequence = new GenerationSequence({
      promptTokenIds,
      maxTokens: Math.min(request.maxTokens ?? tokensLeft, tokensLeft),
      temperature: request.temperature,
      topP: request.topP,
      stop: request.stop,
      endTokenId,
      tokenBytes,
      random: seededRandom(request.seed),
    });
    await this.#scheduler.run(sequence, signal, send);
  }
}

await serveEngine(async (options) => {
  const { modelFolder, limits } = options as GenerationEngineOptions;
  const tokenizer = await TextTokenizer.load(modelFolder);
  const model = await OnnxDecoderModel.open(join(modelFolder, 'onnx/model.onnx'));
  return new TextGenerationEngine(tokenizer, model, limits);
});
