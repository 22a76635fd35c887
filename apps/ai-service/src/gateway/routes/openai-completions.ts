import { randomUUID } from 'node:crypto';
import type { GenerationPrompt } from '../../models/types.ts';
import { Body } from '../body.ts';
import type { Exchange, TokenUsage } from '../exchange.ts';
import type { ModelCallOptions, ModelRegistry } from '../model-registry.ts';
import { invalid } from '../request-error.ts';
import { answerGeneration, Generation, type GenerationJob, usageBody } from './generation.ts';
import { type GenerationParameters, readGenerationParameters } from './generation-parameters.ts';

const OWN = new Set(['prompt']);
/** OpenAI's default for this route. */
const DEFAULT_MAX_TOKENS = 16;
const CHOICES_MAX = 64;

/** `POST /v1/completions` */
export async function createCompletion(exchange: Exchange, registry: ModelRegistry): Promise<void> {
  await answerGeneration(exchange, readCompletionJob(await exchange.json(), registry));
}

export function readCompletionJob(value: unknown, registry: ModelRegistry): GenerationJob {
  const body = new Body(value);
  const parameters = readGenerationParameters(body, registry, OWN);
  parameters.sampling.maxTokens ??= DEFAULT_MAX_TOKENS;
  return new CompletionJob(parameters, readPrompts(body.required('prompt')));
}

class CompletionJob implements GenerationJob {
  readonly model: GenerationJob['model'];
  readonly streamed: boolean;
  readonly #includeUsage: boolean;
  readonly #generation: Generation;
  readonly #id = `cmpl-${randomUUID()}`;
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(parameters: GenerationParameters, prompts: GenerationPrompt[]) {
    this.model = parameters.model;
    this.streamed = parameters.streamed;
    this.#includeUsage = parameters.includeUsage;
    this.#generation = new Generation(parameters, prompts);
    if (this.#generation.choices > CHOICES_MAX) {
      throw invalid('n', `prompts × n may be ${CHOICES_MAX} at most`);
    }
  }

  usage(): TokenUsage {
    return this.#generation.usage();
  }

  async result(options: ModelCallOptions): Promise<unknown> {
    const texts = await this.#generation.texts(options);
    const choices = texts.map(({ text, finishReason }, index) =>
      choiceOf(index, text, finishReason),
    );
    return this.#envelope(choices, { usage: usageBody(this.usage()) });
  }

  async *chunks(options: ModelCallOptions): AsyncGenerator<unknown, void, undefined> {
    const noUsage = this.#includeUsage ? { usage: null } : {};
    for await (const { choice, chunk } of this.#generation.run(options)) {
      yield this.#envelope([choiceOf(choice, chunk.text, chunk.finishReason ?? null)], noUsage);
    }
    if (this.#includeUsage) yield this.#envelope([], { usage: usageBody(this.usage()) });
  }

  #envelope(choices: unknown[], more: object): unknown {
    const object = 'text_completion';
    return { id: this.#id, object, created: this.#created, model: this.model.id, choices, ...more };
  }
}

function choiceOf(index: number, text: string, finishReason: string | null): unknown {
  return { index, text, logprobs: null, finish_reason: finishReason };
}

/** One text, several, the token ids of one, or the token ids of several. */
function readPrompts(value: unknown): GenerationPrompt[] {
  if (typeof value === 'string') return [{ text: value }];
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid('prompt', "'prompt' must be a string, an array of strings, or token ids");
  }
  if (isTokenIds(value)) return [{ tokenIds: value }];
  return value.map((prompt: unknown, index): GenerationPrompt => {
    if (typeof prompt === 'string') return { text: prompt };
    if (Array.isArray(prompt) && isTokenIds(prompt)) return { tokenIds: prompt };
    const param = `prompt[${index}]`;
    throw invalid(param, `'${param}' must be a string or an array of token ids`);
  });
}

function isTokenIds(value: unknown[]): value is number[] {
  return value.length > 0 && value.every((id) => Number.isSafeInteger(id) && (id as number) >= 0);
}
