import type { GenerationRequest } from '../../models/types.ts';
import type { Body } from '../body.ts';
import type { ModelRegistry, ServedModel } from '../model-registry.ts';
import { invalid, RequestError, unknownModel, unsupported } from '../request-error.ts';

export type GeneratingModel = ServedModel & Required<Pick<ServedModel, 'generate'>>;

/** What a chat and a completion have in common. */
export interface GenerationParameters {
  model: GeneratingModel;
  streamed: boolean;
  includeUsage: boolean;
  choicesPerPrompt: number;
  sampling: Omit<GenerationRequest, 'prompt'>;
}

const CHOICES_MAX = 16;
/** Leaves room for the seeds of further choices. */
const SEED_MAX = Number.MAX_SAFE_INTEGER - CHOICES_MAX;

/** Parameters that say nothing about the text: taken and not used. */
const IGNORED = new Set([
  'user',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'parallel_tool_calls',
]);

/** Parameters that no model here follows, each with the values that ask for nothing. */
const NEUTRAL: Record<string, (value: unknown) => boolean> = {
  presence_penalty: (value) => value === 0,
  frequency_penalty: (value) => value === 0,
  logit_bias: (value) => typeof value === 'object' && Object.keys(value ?? {}).length === 0,
  tools: (value) => Array.isArray(value) && value.length === 0,
  functions: (value) => Array.isArray(value) && value.length === 0,
  tool_choice: (value) => value === 'none' || value === 'auto',
  function_call: (value) => value === 'none' || value === 'auto',
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  best_of: (value) => value === 1,
  echo: (value) => value === false,
  suffix: (value) => value === '',
};

const COMMON = new Set([
  'model',
  'stream',
  'stream_options',
  'n',
  'stop',
  'max_tokens',
  'temperature',
  'top_p',
  'seed',
]);

/** Reads what both protocols share; `own` are the parameters that the caller reads itself. */
export function readGenerationParameters(
  body: Body,
  registry: ModelRegistry,
  own: ReadonlySet<string>,
): GenerationParameters {
  refuseUnknown(body, own);
  const model = findGeneratingModel(body.string('model'), registry);
  const streamed = body.optionalBoolean('stream') ?? false;
  const streamOptions = body.optionalObject('stream_options');
  if (streamOptions !== undefined && !streamed) {
    throw invalid('stream_options', "'stream_options' is only allowed when 'stream' is true");
  }
  return {
    model,
    streamed,
    includeUsage: streamOptions?.optionalBoolean('include_usage') ?? false,
    choicesPerPrompt: body.optionalInteger('n', 1, CHOICES_MAX) ?? 1,
    sampling: readSampling(body),
  };
}

function refuseUnknown(body: Body, own: ReadonlySet<string>): void {
  for (const name of body.names()) {
    if (COMMON.has(name) || own.has(name) || IGNORED.has(name)) continue;
    const value = body.get(name);
    if (value === undefined) continue;
    const neutral = Object.hasOwn(NEUTRAL, name) ? NEUTRAL[name] : undefined;
    if (neutral === undefined) throw invalid(name, `unrecognized parameter '${name}'`);
    if (!neutral(value)) throw unsupported(name);
  }
}

function findGeneratingModel(id: string, registry: ModelRegistry): GeneratingModel {
  const model = registry.find(id);
  if (model === undefined) throw unknownModel(id);
  if (model.generate === undefined) {
    throw new RequestError(400, `the model '${id}' does not generate text`, {
      param: 'model',
      code: 'model_not_supported',
    });
  }
  return model as GeneratingModel;
}

function readSampling(body: Body): GenerationParameters['sampling'] {
  const sampling: GenerationParameters['sampling'] = {};
  const maxTokens =
    body.optionalInteger('max_completion_tokens', 1, Number.MAX_SAFE_INTEGER) ??
    body.optionalInteger('max_tokens', 1, Number.MAX_SAFE_INTEGER);
  if (maxTokens !== undefined) sampling.maxTokens = maxTokens;
  const temperature = body.optionalNumber('temperature', 0, 2);
  if (temperature !== undefined) sampling.temperature = temperature;
  const topP = body.optionalNumber('top_p', 0, 1);
  if (topP === 0) throw invalid('top_p', "'top_p' must be above 0");
  if (topP !== undefined) sampling.topP = topP;
  const seed = body.optionalInteger('seed', -SEED_MAX, SEED_MAX);
  if (seed !== undefined) sampling.seed = seed;
  const stop = readStop(body.get('stop'));
  if (stop.length > 0) sampling.stop = stop;
  return sampling;
}

function readStop(value: unknown): string[] {
  if (value === undefined) return [];
  const stops = Array.isArray(value) ? value : [value];
  if (stops.length > 16 || stops.some((stop) => typeof stop !== 'string' || stop === '')) {
    throw invalid('stop', "'stop' must be a string or up to 16 strings, none of them empty");
  }
  return stops as string[];
}
