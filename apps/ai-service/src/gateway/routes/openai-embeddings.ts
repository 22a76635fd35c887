import type { EmbeddingResult } from '../../models/types.ts';
import { Body } from '../body.ts';
import type { Exchange, TokenUsage } from '../exchange.ts';
import { JsonBytes } from '../json-bytes.ts';
import type { ModelCallOptions, ModelRegistry, ServedModel } from '../model-registry.ts';
import { invalid, RequestError, unknownModel } from '../request-error.ts';

const KNOWN = new Set(['model', 'input', 'encoding_format', 'dimensions', 'user']);
const INPUTS_MAX = 2048;
/** Of an answer, so that one buffer is enough: each number with its comma, and the rest. */
const NUMBER_BYTES = 25;
const FRAME_BYTES = 512;

export interface EmbeddingRequest {
  model: ServedModel & Required<Pick<ServedModel, 'embed'>>;
  inputs: string[];
  base64: boolean;
}

/** `POST /v1/embeddings` */
export async function createEmbeddings(exchange: Exchange, registry: ModelRegistry): Promise<void> {
  const request = readEmbeddingRequest(await exchange.json(), registry);
  exchange.serveWith(request.model);
  const answer = await exchange.timed(embed(request, { signal: exchange.request.signal }));
  exchange.usage = answer.usage;
  exchange.send(200, answer.json.bytes(), 'application/json');
}

export async function embed(
  request: EmbeddingRequest,
  options: ModelCallOptions,
): Promise<{ json: JsonBytes; usage: TokenUsage }> {
  const result = await request.model.embed(request.inputs, options);
  const tokens = result.tokenCounts.reduce((sum, count) => sum + count, 0);
  const json = answerOf(request, result, tokens);
  return { json, usage: { promptTokens: tokens, completionTokens: 0 } };
}

export function readEmbeddingRequest(value: unknown, registry: ModelRegistry): EmbeddingRequest {
  const body = new Body(value);
  for (const name of body.names()) {
    if (!KNOWN.has(name)) throw invalid(name, `unrecognized parameter '${name}'`);
  }
  const id = body.string('model');
  const inputs = readInputs(body.required('input'));
  const format = body.optionalString('encoding_format') ?? 'float';
  if (format !== 'float' && format !== 'base64') {
    throw invalid('encoding_format', "'encoding_format' must be 'float' or 'base64'");
  }
  const model = findEmbeddingModel(id, registry);
  const dimensions = body.optionalInteger('dimensions', 1, Number.MAX_SAFE_INTEGER);
  if (dimensions !== undefined && dimensions !== model.metadata.dimensions) {
    throw invalid(
      'dimensions',
      `'${model.id}' makes vectors of ${model.metadata.dimensions} dimensions and of no other length`,
    );
  }
  return { model, inputs, base64: format === 'base64' };
}

function findEmbeddingModel(id: string, registry: ModelRegistry): EmbeddingRequest['model'] {
  const model = registry.find(id);
  if (model === undefined) throw unknownModel(id);
  if (model.embed === undefined) {
    throw new RequestError(400, `the model '${id}' does not make embeddings`, {
      param: 'model',
      code: 'model_not_supported',
    });
  }
  return model as EmbeddingRequest['model'];
}

function readInputs(input: unknown): string[] {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input))
    throw invalid('input', "'input' must be a string or an array of strings");
  if (input.length === 0) throw invalid('input', "'input' must not be empty");
  if (input.length > INPUTS_MAX)
    throw invalid('input', `'input' may hold ${INPUTS_MAX} texts at most`);
  if (typeof input[0] === 'number' || Array.isArray(input[0])) {
    throw invalid('input', "'input' must be text: arrays of token ids are not supported");
  }
  input.forEach((text, index) => {
    if (typeof text !== 'string')
      throw invalid(`input[${index}]`, `'input[${index}]' must be a string`);
  });
  return input as string[];
}

function answerOf(request: EmbeddingRequest, result: EmbeddingResult, tokens: number): JsonBytes {
  const { vectors, dimensions } = result;
  const json = new JsonBytes(vectors.length * NUMBER_BYTES + FRAME_BYTES);
  json.text('{"object":"list","data":[');
  for (let index = 0; index < request.inputs.length; index++) {
    const vector = vectors.subarray(index * dimensions, (index + 1) * dimensions);
    json.text(`${index > 0 ? ',' : ''}{"object":"embedding","index":${index},"embedding":`);
    if (request.base64) json.value(base64(vector)).text('}');
    else json.text('[').numbers(vector).text(']}');
  }
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  json.text('],"model":').value(request.model.id).text(',"usage":').value(usage);
  return json.text('}');
}

/** Little-endian float32, as the OpenAI clients decode it; every platform Node.js supports is little-endian. */
function base64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
