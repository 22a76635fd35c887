import { parseJson } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import type { Failure } from '../failure.ts';
import type { ModelRegistry, ServedModel } from '../model-registry.ts';
import { RequestError } from '../request-error.ts';
import { infer, readInferenceRequest } from '../tensors/inference.ts';

const HEADER_LENGTH = 'inference-header-content-length';

export function openInferenceFailure(failure: Failure): unknown {
  return { error: failure.message };
}

/** `GET /v2` */
export function serverMetadata(exchange: Exchange, version: string): void {
  exchange.sendJson(200, { name: 'manta', version, extensions: ['binary_tensor_data'] });
}

/** `GET /v2/health/live`; `…/ready` is 503 until every model can answer. */
export function serverHealth(exchange: Exchange, ready: boolean): void {
  exchange.sendJson(ready ? 200 : 503, { live: true, ready });
}

/** `GET /v2/models/{name}[/versions/{version}]` */
export function modelMetadata(exchange: Exchange, model: ServedModel): void {
  const { name, version, platform, inputs, outputs } = model.metadata;
  const describe = (tensors: typeof inputs): unknown =>
    tensors.map((tensor) => ({
      name: tensor.name,
      datatype: tensor.datatype,
      shape: tensor.shape,
    }));
  exchange.sendJson(200, {
    name,
    versions: [version],
    platform,
    inputs: describe(inputs),
    outputs: describe(outputs),
  });
}

/** `GET …/ready` */
export function modelReady(exchange: Exchange, model: ServedModel): void {
  exchange.sendJson(model.ready ? 200 : 503, { name: model.metadata.name, ready: model.ready });
}

/** `POST …/infer`, with or without the binary tensor extension. */
export async function inferRoute(exchange: Exchange, model: ServedModel): Promise<void> {
  exchange.serveWith(model);
  const body = await exchange.body();
  const jsonLength = readHeaderLength(exchange, body.byteLength);
  const request = readInferenceRequest(
    parseJson(body.subarray(0, jsonLength)),
    body.subarray(jsonLength),
  );
  const { signal } = exchange.request;
  const answer = await exchange.timed(infer(model, request, { signal }));
  const json = answer.json.bytes();
  if (answer.binary.length === 0) {
    exchange.send(200, json, 'application/json');
    return;
  }
  exchange.send(200, Buffer.concat([json, ...answer.binary]), 'application/octet-stream', {
    [HEADER_LENGTH]: String(json.byteLength),
  });
}

/** `name` as the protocol has it, or with our prefix. @throws RequestError 404 */
export function findModel(registry: ModelRegistry, name: string, version?: string): ServedModel {
  const model = registry.find(name, version);
  if (model !== undefined) return model;
  const what =
    version === undefined ? `model '${name}'` : `version '${version}' of model '${name}'`;
  throw new RequestError(404, `unknown ${what}`);
}

function readHeaderLength(exchange: Exchange, bodyBytes: number): number {
  const header = exchange.request.header(HEADER_LENGTH);
  if (header === undefined) return bodyBytes;
  const length = /^\d{1,10}$/.test(header) ? Number(header) : NaN;
  if (!(length <= bodyBytes)) {
    throw new RequestError(400, `'${HEADER_LENGTH}' must be a length within the body`);
  }
  return length;
}
