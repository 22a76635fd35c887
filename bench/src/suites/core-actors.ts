import { type ActorHandle, defineActor, defineTask, get, put } from '@manta/sdk';

/** The actors of `ray microbenchmark` (python/ray/_private/ray_perf.py), workload by workload the same. */
const ok = Buffer.from('ok');

class SyncServer {
  smallValue(): Uint8Array {
    return ok;
  }

  smallValueArg(_argument: unknown): Uint8Array {
    return ok;
  }
}

class AsyncServer {
  async smallValue(): Promise<Uint8Array> {
    return ok;
  }

  async smallValueArg(_argument: unknown): Promise<Uint8Array> {
    return ok;
  }
}

/** What a client needs to know of either. */
export interface Server {
  smallValue(): Uint8Array | Promise<Uint8Array>;
  smallValueArg(argument: unknown): Uint8Array | Promise<Uint8Array>;
}

class ClientOfServers {
  /** Ray's `small_value_batch`: `count` calls to each server, one get over all. */
  async callEach(servers: ActorHandle<Server>[], count: number): Promise<void> {
    const results = [];
    for (const server of servers) {
      for (let index = 0; index < count; index++) results.push(server.smallValue());
    }
    await get(results);
  }

  /** Ray's `small_value_batch_arg`: each call passes a ref. */
  async callEachWithRef(servers: ActorHandle<Server>[], count: number): Promise<void> {
    using argument = put(0);
    const results = [];
    for (const server of servers) {
      for (let index = 0; index < count; index++) results.push(server.smallValueArg(argument));
    }
    await get(results);
  }
}

/** Ray's `work` task, the client of the n:n rows: `count` calls in all, server after server. */
export const callRoundRobin = defineTask(
  import.meta,
  async function callRoundRobin(servers: ActorHandle<Server>[], count: number): Promise<void> {
    const results = [];
    for (let index = 0; index < count; index++) {
      const server = servers[index % servers.length];
      if (server !== undefined) results.push(server.smallValue());
    }
    await get(results);
  },
);

/** Ray's `num_cpus=0`. */
export const Actor = defineActor(import.meta, SyncServer, { cpus: 0 });
/** An async actor of Ray runs up to 1000 calls at a time. */
export const AsyncActor = defineActor(import.meta, AsyncServer, { maxConcurrency: 1000 });
export const Client = defineActor(import.meta, ClientOfServers, { cpus: 0 });
/** Many of these live in one process. */
export const LightActor = defineActor(import.meta, SyncServer, { cpus: 0, isolation: 'shared' });
