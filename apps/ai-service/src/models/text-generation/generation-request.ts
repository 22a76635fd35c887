import { ModelInputError } from '../errors.ts';
import type { ChatMessage, GenerationPrompt, GenerationRequest } from '../types.ts';

const TEMPERATURE_MAX = 2;
const STOP_SEQUENCES_MAX = 16;

/** A request with every option set, as the engine's thread takes it. */
export interface CompiledGenerationRequest {
  prompt: CompiledPrompt;
  maxTokens: number | undefined;
  temperature: number;
  topP: number;
  seed: number;
  stop: readonly string[];
}

export type CompiledPrompt = { text: string } | { tokenIds: readonly number[] };

/**
 * Fills in the defaults and checks what can be checked without the tokenizer.
 *
 * @param randomSeed Gives the seed of a request without one.
 * @throws ModelInputError
 */
export function compileGenerationRequest(
  request: GenerationRequest,
  randomSeed: () => number,
): CompiledGenerationRequest {
  const { maxTokens, temperature = 1, topP = 1, seed = randomSeed(), stop = [] } = request;
  const require = (holds: boolean, param: string, rule: string): void => {
    if (!holds) throw new ModelInputError(`${param} must be ${rule}`, param);
  };
  require(maxTokens === undefined ||
    (Number.isSafeInteger(maxTokens) &&
      maxTokens >= 1), 'maxTokens', 'a whole number of at least 1');
  require(temperature >= 0 &&
    temperature <= TEMPERATURE_MAX, 'temperature', `a number from 0 to ${TEMPERATURE_MAX}`);
  require(topP > 0 && topP <= 1, 'topP', 'a number above 0 and up to 1');
  require(Number.isSafeInteger(seed), 'seed', 'a whole number that a double can hold');
  require(stop.length <= STOP_SEQUENCES_MAX, 'stop', `at most ${STOP_SEQUENCES_MAX} sequences`);
  require(stop.every(
    (sequence) => typeof sequence === 'string' && sequence !== '',
  ), 'stop', 'a list of texts that are not empty');
  return {
    prompt: compilePrompt(request.prompt),
    maxTokens,
    temperature,
    topP,
    seed,
    stop: [...stop],
  };
}

/** @throws ModelInputError for a conversation without messages. */
export function compilePrompt(prompt: GenerationPrompt): CompiledPrompt {
  if ('text' in prompt) return { text: prompt.text };
  if ('tokenIds' in prompt) return { tokenIds: [...prompt.tokenIds] };
  return { text: conversationText(prompt.messages) };
}

/**
 * The template of a model that was trained on plain text only: it knows no roles, so a conversation is the paragraphs
 * of one text, which the model goes on with.
 */
function conversationText(messages: readonly ChatMessage[]): string {
  if (messages.length === 0) throw new ModelInputError('There is no message', 'messages');
  return messages.map(({ content }) => content).join('\n\n');
}
