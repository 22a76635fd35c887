import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ActorHandle, get, kill } from '@manta/sdk';
import { treeMemoryBytes } from '../harness/process-tree.ts';
import { mean, median, standardDeviation } from '../harness/statistics.ts';
import type { TimingRule } from '../harness/timeit.ts';
import { timeBareForks } from '../limits/raw-echo.ts';
import type { Row } from '../report/report.ts';
import { Actor, LightActor, type Server } from './core-actors.ts';
import type { SuiteSettings } from './suite.ts';

/** Between creations the node fills its pool of warm processes again; this is ample for it. */
const poolRefillMs = 1_000;
const bytesPerMebibyte = 2 ** 20;

interface ServerClass {
  create(): ActorHandle<Server>;
}

type Creator = (settings: SuiteSettings) => Promise<Row[]>;

function latencyRow(name: string, samples: number[], limit?: Row['limit']): Row {
  const row: Row = {
    suite: 'core',
    name,
    unit: 'ms',
    value: median(samples),
    sd: standardDeviation(samples),
    peers: {},
  };
  return limit === undefined ? row : { ...row, limit };
}

/** As all rows do: what is measured has been done for a while. */
async function warmUp(actorClass: ServerClass, { warmUpMs }: TimingRule): Promise<void> {
  const start = performance.now();
  while (performance.now() - start < warmUpMs) await timeCreation(actorClass);
}

/** Milliseconds from `create()` to the answer of the first call. */
async function timeCreation(actorClass: ServerClass): Promise<number> {
  const start = performance.now();
  const actor = actorClass.create();
  await actor.smallValue();
  const elapsedMs = performance.now() - start;
  await kill(actor);
  return elapsedMs;
}

const processActor: Creator = async ({ quick, timing }) => {
  await warmUp(Actor, timing);
  const samples: number[] = [];
  const forks: number[] = [];
  for (let index = 0; index < (quick ? 2 : 20); index++) {
    await setTimeout(poolRefillMs);
    samples.push(await timeCreation(Actor));
    forks.push(await timeBareForks(1));
  }
  const limit = { name: 'bare_node_fork', value: median(forks), sd: standardDeviation(forks) };
  return [latencyRow('actor_create_to_first_answer', samples, limit)];
};

const sharedActor: Creator = async ({ quick, timing }) => {
  // The first one starts the process that hosts the others.
  const first = LightActor.create();
  await first.smallValue();
  await warmUp(LightActor, timing);
  const samples: number[] = [];
  for (let index = 0; index < (quick ? 3 : 200); index++)
    samples.push(await timeCreation(LightActor));
  await kill(first);
  return [latencyRow('shared_actor_create_to_first_answer', samples)];
};

const manyAtOnce: Creator = async ({ quick }) => {
  const count = quick ? 4 : 40;
  const rates: number[] = [];
  const forkRates: number[] = [];
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    await setTimeout(quick ? 0 : 3 * poolRefillMs);
    const start = performance.now();
    const actors = Array.from({ length: count }, () => Actor.create());
    await get(actors.map((actor) => actor.smallValue()));
    rates.push(count / ((performance.now() - start) / 1000));
    await Promise.all(actors.map((actor) => kill(actor)));
    forkRates.push(count / ((await timeBareForks(count)) / 1000));
  }
  const row: Row = {
    suite: 'core',
    name: '40_actors_at_once',
    unit: 'actor/s',
    value: mean(rates),
    sd: standardDeviation(rates),
    limit: { name: 'bare_node_forks', value: mean(forkRates), sd: standardDeviation(forkRates) },
    peers: {},
  };
  return [row];
};

const lightCrowd: Creator = async ({ quick, onNote }) => {
  const count = quick ? 300 : 100_000;
  const chunk = 5_000;
  const actors: ActorHandle<Server>[] = [];
  const createStart = performance.now();
  while (actors.length < count) {
    const fresh = Array.from({ length: Math.min(chunk, count - actors.length) }, () =>
      LightActor.create(),
    );
    await callAll(fresh);
    actors.push(...fresh);
  }
  const createdPerSecond = count / ((performance.now() - createStart) / 1000);
  const callStart = performance.now();
  for (let index = 0; index < count; index += chunk)
    await callAll(actors.slice(index, index + chunk));
  const answersPerSecond = count / ((performance.now() - callStart) / 1000);
  const memoryBytes = await treeMemoryBytes(process.pid);
  for (let index = 0; index < count; index += chunk) {
    await Promise.all(actors.slice(index, index + chunk).map((actor) => kill(actor)));
  }
  const rows = [
    crowdRow('100k_shared_actors_created', 'actor/s', createdPerSecond),
    crowdRow('100k_shared_actors_answering', 'call/s', answersPerSecond),
  ];
  if (memoryBytes === undefined) onNote('100k_shared_actors_memory: only Linux tells it');
  else rows.push(crowdRow('100k_shared_actors_memory', 'MiB', memoryBytes / bytesPerMebibyte));
  return rows;
};

function crowdRow(name: string, unit: string, value: number): Row {
  return { suite: 'core', name, unit, value, sd: 0, peers: {} };
}

async function callAll(actors: readonly ActorHandle<Server>[]): Promise<void> {
  const answers = await get(actors.map((actor) => actor.smallValue()));
  const wrong = answers.filter((answer) => Buffer.from(answer).toString() !== 'ok').length;
  if (wrong > 0) throw new Error(`${wrong} of ${actors.length} actors gave a wrong answer`);
}

/** A cluster of its own per sample, each in a fresh process, as a user's program would start it. */
export async function runInitRow(settings: SuiteSettings): Promise<Row[]> {
  const name = 'init_private_cluster';
  if (!settings.wants(name)) return [];
  const samples: number[] = [];
  for (let index = 0; index < (settings.quick ? 1 : 7); index++) samples.push(await timeInit());
  const row = latencyRow(name, samples);
  settings.onRow(row);
  return [row];
}

async function timeInit(): Promise<number> {
  const child = fork(fileURLToPath(new URL('./init-once.js', import.meta.url)), [], {
    execArgv: [],
  });
  const exited = once(child, 'exit');
  const answered = once(child, 'message').then(([elapsedMs]) => elapsedMs as number);
  const failed = exited.then(([code]) => {
    throw new Error(`init-once ended with code ${String(code)} before it told its time`);
  });
  const elapsedMs = await Promise.race([answered, failed]);
  await exited;
  return elapsedMs;
}

const creators: readonly { names: string[]; create: Creator }[] = [
  { names: ['actor_create_to_first_answer'], create: processActor },
  { names: ['shared_actor_create_to_first_answer'], create: sharedActor },
  { names: ['40_actors_at_once'], create: manyAtOnce },
  {
    names: [
      '100k_shared_actors_created',
      '100k_shared_actors_answering',
      '100k_shared_actors_memory',
    ],
    create: lightCrowd,
  },
];

/** Names of rows; those of a part come from one measurement. */
export const creationParts: readonly (readonly string[])[] = creators.map(({ names }) => names);

/** Needs an initialised SDK. */
export async function runCreationRows(settings: SuiteSettings): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { names, create } of creators) {
    if (!names.some((name) => settings.wants(name))) continue;
    const made = await create(settings);
    for (const row of made) settings.onRow(row);
    rows.push(...made);
  }
  return rows;
}
