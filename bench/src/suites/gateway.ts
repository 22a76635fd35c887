import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type ActorClass, type ActorHandle, init, shutdown } from '@manta/sdk';
import { median, quantile, standardDeviation } from '../harness/statistics.ts';
import { startLimitProcess } from '../limits/limit-process.ts';
import type { Row } from '../report/report.ts';
import { repositoryPath } from '../repository.ts';
import { embeddingsClient, startService, type Service } from './gateway-service.ts';
import type { Suite, SuiteSettings } from './suite.ts';

const modelName = 'use-lite';
const text = 'The quick brown fox jumps over the lazy dog.';

/** What the suite needs of the model's actor. */
interface EmbeddingActor {
  embed(inputs: string[]): Promise<{ vectors: Float32Array; dimensions: number }>;
}

/** Latencies in milliseconds, block by block. */
interface Samples {
  http: number[][];
  direct: number[][];
  /** Of as many bytes, with a bare HTTP server. */
  bare: number[][];
}

async function timeBlock(call: () => Promise<unknown>, count: number): Promise<number[]> {
  const latencies: number[] = [];
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    await call();
    latencies.push(performance.now() - start);
  }
  return latencies;
}

/** As `timeBlock`, with all processes asleep before each call for as long as a model takes: waking up is a part of it. */
async function timePausedBlock(
  call: () => Promise<unknown>,
  count: number,
  pauseMs: number,
): Promise<number[]> {
  const latencies: number[] = [];
  for (let index = 0; index < count; index++) {
    await delay(pauseMs);
    latencies.push(...(await timeBlock(call, 1)));
  }
  return latencies;
}

/** Blocks over HTTP, direct ones and bare ones take turns, so that all see the same machine. */
async function sample(
  service: Service,
  actor: ActorHandle<EmbeddingActor>,
  settings: SuiteSettings,
): Promise<Samples> {
  const body = { model: `local/${modelName}`, input: text };
  const client = embeddingsClient(service, body);
  const overHttp = (): Promise<number> => client.request();
  const directly = async (): Promise<unknown> => actor.embed([text]);
  const count = settings.quick ? 10 : 500;
  const samples: Samples = { http: [], direct: [], bare: [] };
  await using echo = await startLimitProcess('http-echo-server', [String(await overHttp())]);
  const bareService = { port: echo.firstWord as number, apiKey: service.apiKey };
  const bareClient = embeddingsClient(bareService, body);
  const bare = (): Promise<number> => bareClient.request();
  try {
    await timeBlock(overHttp, count);
    await timeBlock(directly, count);
    for (let block = 0; block < (settings.quick ? 2 : 8); block++) {
      samples.http.push(await timeBlock(overHttp, count));
      const direct = await timeBlock(directly, count);
      samples.direct.push(direct);
      samples.bare.push(await timePausedBlock(bare, count, median(direct)));
    }
  } finally {
    client.close();
    bareClient.close();
  }
  return samples;
}

function rowsOf({ http, direct, bare }: Samples): Row[] {
  return [0.5, 0.99].flatMap((fraction) => {
    const name = `p${fraction * 100}`;
    const overHttp = quantile(http.flat(), fraction);
    const directly = quantile(direct.flat(), fraction);
    const httpBlocks = http.map((block) => quantile(block, fraction));
    const directBlocks = direct.map((block) => quantile(block, fraction));
    const bareBlocks = bare.map((block) => quantile(block, fraction));
    const added = httpBlocks.map((value, index) => value - (directBlocks[index] ?? 0));
    const common = { suite: 'gateway', unit: 'ms', peers: {} };
    return [
      {
        ...common,
        name: `gateway_embeddings_${name}`,
        value: overHttp,
        sd: standardDeviation(httpBlocks),
        limit: {
          name: `direct_actor_call_${name}`,
          value: directly,
          sd: standardDeviation(directBlocks),
        },
      },
      {
        ...common,
        name: `gateway_embeddings_added_${name}`,
        value: overHttp - directly,
        sd: standardDeviation(added),
        limit: {
          name: `bare_http_exchange_${name}`,
          value: quantile(bare.flat(), fraction),
          sd: standardDeviation(bareBlocks),
        },
      },
    ];
  });
}

/**
 * A replica of our own beside the service's, of the same class with the same model: the service's replicas have no
 * name to find them by. The class is the service's built file, as a node would load it; nothing of it is linked here.
 */
async function createModelActor(): Promise<ActorHandle<EmbeddingActor>> {
  const file = pathToFileURL(repositoryPath('apps/ai-service/dist/models/model-actors.js')).href;
  const { EmbeddingModelActor } = (await import(file)) as {
    EmbeddingModelActor: ActorClass<EmbeddingActor, [modelName: string]>;
  };
  return EmbeddingModelActor.options({ cpus: 1 }).create(modelName);
}

const rowNames = rowsOf({ http: [[0]], direct: [[0]], bare: [[0]] }).map((row) => row.name);

async function run(settings: SuiteSettings): Promise<Row[]> {
  if (!rowNames.some((name) => settings.wants(name))) return [];
  await using service = await startService();
  await init({ address: service.clusterAddress });
  try {
    const rows = rowsOf(await sample(service, await createModelActor(), settings));
    const wanted = rows.filter((row) => settings.wants(row.name));
    for (const row of wanted) settings.onRow(row);
    return wanted;
  } finally {
    await shutdown();
  }
}

/** What the AI service's HTTP route adds to a direct call of such a model actor: one client, one request at a time. */
export const gatewaySuite: Suite = { parts: () => [rowNames], run };
