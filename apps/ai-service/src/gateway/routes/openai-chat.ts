import { randomUUID } from 'node:crypto';
import type { ChatMessage } from '../../models/types.ts';
import { Body } from '../body.ts';
import type { Exchange, TokenUsage } from '../exchange.ts';
import type { ModelCallOptions, ModelRegistry } from '../model-registry.ts';
import { invalid } from '../request-error.ts';
import { answerGeneration, Generation, type GenerationJob, usageBody } from './generation.ts';
import { type GenerationParameters, readGenerationParameters } from './generation-parameters.ts';

const OWN = new Set(['messages', 'max_completion_tokens']);
const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);
const MESSAGES_MAX = 4096;

/** `POST /v1/chat/completions` */
export async function createChatCompletion(
  exchange: Exchange,
  registry: ModelRegistry,
): Promise<void> {
  await answerGeneration(exchange, readChatJob(await exchange.json(), registry));
}

export function readChatJob(value: unknown, registry: ModelRegistry): GenerationJob {
  const body = new Body(value);
  const messages = readMessages(body.required('messages'));
  return new ChatJob(readGenerationParameters(body, registry, OWN), messages);
}

class ChatJob implements GenerationJob {
  readonly model: GenerationJob['model'];
  readonly streamed: boolean;
  readonly #includeUsage: boolean;
  readonly #generation: Generation;
  readonly #id = `chatcmpl-${randomUUID()}`;
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(parameters: GenerationParameters, messages: ChatMessage[]) {
    this.model = parameters.model;
    this.streamed = parameters.streamed;
    this.#includeUsage = parameters.includeUsage;
    this.#generation = new Generation(parameters, [{ messages }]);
  }

  usage(): TokenUsage {
    return this.#generation.usage();
  }

  async result(options: ModelCallOptions): Promise<unknown> {
    const texts = await this.#generation.texts(options);
    const choices = texts.map(({ text, finishReason }, index) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: null,
      finish_reason: finishReason,
    }));
    return this.#envelope('chat.completion', choices, { usage: usageBody(this.usage()) });
  }

  async *chunks(options: ModelCallOptions): AsyncGenerator<unknown, void, undefined> {
    const begun = new Set<number>();
    for await (const { choice, chunk } of this.#generation.run(options)) {
      if (!begun.has(choice)) {
        begun.add(choice);
        yield this.#chunk(choice, { role: 'assistant', content: '' }, null);
      }
      if (chunk.text !== '') yield this.#chunk(choice, { content: chunk.text }, null);
      if (chunk.finishReason !== undefined) yield this.#chunk(choice, {}, chunk.finishReason);
    }
    if (this.#includeUsage) {
      yield this.#envelope('chat.completion.chunk', [], { usage: usageBody(this.usage()) });
    }
  }

  #chunk(index: number, delta: object, finishReason: string | null): unknown {
    const choices = [{ index, delta, logprobs: null, finish_reason: finishReason }];
    return this.#envelope(
      'chat.completion.chunk',
      choices,
      this.#includeUsage ? { usage: null } : {},
    );
  }

  #envelope(object: string, choices: unknown[], more: object): unknown {
    return { id: this.#id, object, created: this.#created, model: this.model.id, choices, ...more };
  }
}

function readMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid('messages', "'messages' must be an array with at least one message");
  }
  if (value.length > MESSAGES_MAX) {
    throw invalid('messages', `'messages' may hold ${MESSAGES_MAX} messages at most`);
  }
  return value.map((message: unknown, index) =>
    readMessage(new Body(message, `messages[${index}]`)),
  );
}

function readMessage(message: Body): ChatMessage {
  const role = message.string('role');
  if (!ROLES.has(role)) {
    const param = message.param('role');
    throw invalid(param, `'${param}' must be one of ${[...ROLES].join(', ')}`);
  }
  // What the assistant said in tool calls alone has no text.
  const isWithoutText = role === 'assistant' && (message.get('content') ?? null) === null;
  return { role, content: isWithoutText ? '' : readContent(message) };
}

/** A string, or parts of text, which are joined. */
function readContent(message: Body): string {
  const content = message.required('content');
  if (typeof content === 'string') return content;
  const param = message.param('content');
  if (!Array.isArray(content))
    throw invalid(param, `'${param}' must be a string or an array of parts`);
  return content
    .map((value: unknown, index) => {
      const part = new Body(value, `${param}[${index}]`);
      const type = part.string('type');
      if (type === 'text') return part.string('text');
      throw invalid(
        part.param('type'),
        `'${part.param('type')}': only parts of type 'text' are supported`,
      );
    })
    .join('');
}
