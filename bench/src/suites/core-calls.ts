import { type ActorHandle, get, put } from '@manta/sdk';
import { startRawEcho, type RawEchoShape } from '../limits/raw-echo.ts';
import { Actor, AsyncActor, callRoundRobin, Client, type Server } from './core-actors.ts';
import type { PreparedRow, TimedRow } from './rows.ts';

/** Ray's figures: calls in a batch, calls of each client in the 1:n and n:n rows, clients in the n:n rows. */
const batchCalls = 1000;
const clientCalls = 5000;
const clientCount = 4;

interface CallRow {
  name: string;
  unit: string;
  prepare(serverCount: number): PreparedRow;
  limit?(serverCount: number): RawLimit;
}

interface RawLimit {
  name: string;
  shape: RawEchoShape;
  load: { callsPerServer: number; withArgument: boolean };
}

interface ServerClass {
  create(): ActorHandle<Server>;
}

function createServers(serverClass: ServerClass, count: number): ActorHandle<Server>[] {
  return Array.from({ length: count }, () => serverClass.create());
}

function oneAtATime(serverClass: ServerClass): CallRow['prepare'] {
  return () => {
    const actor = serverClass.create();
    return { multiplier: 1, actors: [actor], run: () => actor.smallValue() };
  };
}

function thousandAtOnce(serverClass: ServerClass): CallRow['prepare'] {
  return () => {
    const actor = serverClass.create();
    const run = (): Promise<unknown> =>
      get(Array.from({ length: batchCalls }, () => actor.smallValue()));
    return { multiplier: batchCalls, actors: [actor], run };
  };
}

function thousandWithArguments(serverClass: ServerClass): CallRow['prepare'] {
  return () => {
    const actor = serverClass.create();
    const run = (): Promise<unknown> =>
      get(Array.from({ length: batchCalls }, (_, index) => actor.smallValueArg(index)));
    return { multiplier: batchCalls, actors: [actor], run };
  };
}

function oneClientToMany(serverClass: ServerClass): CallRow['prepare'] {
  return (serverCount) => {
    const servers = createServers(serverClass, serverCount);
    const client = Client.create();
    return {
      multiplier: clientCalls * serverCount,
      actors: [client, ...servers],
      run: () => client.callEach(servers, clientCalls),
    };
  };
}

function manyClientsToMany(serverClass: ServerClass): CallRow['prepare'] {
  return (serverCount) => {
    const servers = createServers(serverClass, serverCount);
    return {
      multiplier: clientCalls * clientCount,
      actors: servers,
      run: () =>
        get(Array.from({ length: clientCount }, () => callRoundRobin(servers, clientCalls))),
    };
  };
}

function manyPairsWithRef(serverCount: number): PreparedRow {
  const servers = createServers(Actor, serverCount);
  const pairs = servers.map((server) => ({ server, client: Client.create() }));
  return {
    multiplier: batchCalls * serverCount,
    actors: [...servers, ...pairs.map(({ client }) => client)],
    run: () => get(pairs.map(({ client, server }) => client.callEachWithRef([server], batchCalls))),
  };
}

function sameRefAgain(): PreparedRow {
  const ref = put(0);
  return { multiplier: 1, actors: [], run: () => get(ref) };
}

function putAndDrop(): PreparedRow {
  // Ray's put drops its ref at once by reference counting; disposing of it is the same here.
  return { multiplier: 1, actors: [], run: () => put(0)[Symbol.dispose]() };
}

const pair: RawEchoShape = { clients: 1, servers: 1 };
const limits = {
  sync: (): RawLimit => ({
    name: 'raw_echo_sync',
    shape: pair,
    load: { callsPerServer: 1, withArgument: false },
  }),
  batch: (): RawLimit => ({
    name: 'raw_echo_batched',
    shape: pair,
    load: { callsPerServer: batchCalls, withArgument: false },
  }),
  batchWithArguments: (): RawLimit => ({
    name: 'raw_echo_batched_with_args',
    shape: pair,
    load: { callsPerServer: batchCalls, withArgument: true },
  }),
  oneToMany: (servers: number): RawLimit => ({
    name: 'raw_echo_1_n',
    shape: { clients: 1, servers },
    load: { callsPerServer: clientCalls, withArgument: false },
  }),
  manyToMany: (servers: number): RawLimit => ({
    name: 'raw_echo_n_n',
    shape: { clients: clientCount, servers },
    load: { callsPerServer: Math.ceil(clientCalls / servers), withArgument: false },
  }),
  pairs: (servers: number): RawLimit => ({
    name: 'raw_echo_n_n_with_arg',
    shape: { clients: servers, servers, paired: true },
    load: { callsPerServer: batchCalls, withArgument: true },
  }),
};

const concurrent: ServerClass = { create: () => Actor.options({ maxConcurrency: 16 }).create() };
const unit = 'call/s';

const callRows: readonly CallRow[] = [
  { name: 'single_client_get_calls', unit: 'get/s', prepare: sameRefAgain },
  { name: 'single_client_put_calls', unit: 'put/s', prepare: putAndDrop },
  { name: '1_1_actor_calls_sync', unit, prepare: oneAtATime(Actor), limit: limits.sync },
  { name: '1_1_actor_calls_async', unit, prepare: thousandAtOnce(Actor), limit: limits.batch },
  {
    name: '1_1_actor_calls_concurrent',
    unit,
    prepare: thousandAtOnce(concurrent),
    limit: limits.batch,
  },
  { name: '1_n_actor_calls_async', unit, prepare: oneClientToMany(Actor), limit: limits.oneToMany },
  {
    name: 'n_n_actor_calls_async',
    unit,
    prepare: manyClientsToMany(Actor),
    limit: limits.manyToMany,
  },
  { name: 'n_n_actor_calls_with_arg_async', unit, prepare: manyPairsWithRef, limit: limits.pairs },
  { name: '1_1_async_actor_calls_sync', unit, prepare: oneAtATime(AsyncActor), limit: limits.sync },
  {
    name: '1_1_async_actor_calls_async',
    unit,
    prepare: thousandAtOnce(AsyncActor),
    limit: limits.batch,
  },
  {
    name: '1_1_async_actor_calls_with_args_async',
    unit,
    prepare: thousandWithArguments(AsyncActor),
    limit: limits.batchWithArguments,
  },
  {
    name: '1_n_async_actor_calls_async',
    unit,
    prepare: oneClientToMany(AsyncActor),
    limit: limits.oneToMany,
  },
  {
    name: 'n_n_async_actor_calls_async',
    unit,
    prepare: manyClientsToMany(AsyncActor),
    limit: limits.manyToMany,
  },
];

export const callRowNames: readonly string[] = callRows.map((row) => row.name);

/** Need an initialised SDK. */
export function timedCallRows(serverCount: number): TimedRow[] {
  return callRows.map((definition): TimedRow => {
    const { name, unit } = definition;
    const row = { name, unit, prepare: () => definition.prepare(serverCount) };
    const limit = definition.limit?.(serverCount);
    return limit === undefined ? row : { ...row, limit: rawEcho(limit) };
  });
}

function rawEcho({ name, shape, load }: RawLimit): NonNullable<TimedRow['limit']> {
  return {
    name,
    async start() {
      const echo = await startRawEcho(shape);
      return {
        contender: echo.contender(load),
        [Symbol.asyncDispose]: () => echo[Symbol.asyncDispose](),
      };
    },
  };
}
