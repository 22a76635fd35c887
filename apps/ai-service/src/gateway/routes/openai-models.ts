import type { Exchange } from '../exchange.ts';
import type { ModelRegistry, ServedModel } from '../model-registry.ts';
import { unknownModel } from '../request-error.ts';

/** `GET /v1/models` */
export function listModels(exchange: Exchange, registry: ModelRegistry): void {
  exchange.sendJson(200, { object: 'list', data: registry.list().map(describe) });
}

/** `GET /v1/models/{id}`: ids contain slashes. */
export function getModel(exchange: Exchange, registry: ModelRegistry, id: string): void {
  const model = registry.find(id);
  if (model === undefined) throw unknownModel(id);
  exchange.sendJson(200, describe(model));
}

function describe(model: ServedModel): unknown {
  return {
    id: model.id,
    object: 'model',
    created: Math.floor(model.createdAt / 1000),
    owned_by: 'manta',
  };
}
