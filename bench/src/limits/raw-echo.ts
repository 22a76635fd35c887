import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Contender } from '../harness/timeit.ts';
import type { EchoRound } from './echo-client.ts';
import { startLimitProcess } from './limit-process.ts';

/** Bare client and server processes over bare Unix sockets: what the machine gives to any runtime with these frames. */
export interface RawEcho extends AsyncDisposable {
  /** Calls per second of all clients together. */
  contender(load: Omit<EchoRound, 'durationMs'>): Contender;
}

export interface RawEchoShape {
  clients: number;
  /** Every client talks to all of them, or with `paired` to the one with its own number. */
  servers: number;
  paired?: boolean;
}

export async function startRawEcho(shape: RawEchoShape): Promise<RawEcho> {
  const directory = await mkdtemp(join(tmpdir(), 'manta-bench-'));
  const sockets = Array.from({ length: shape.servers }, (_, index) =>
    join(directory, `${index}.sock`),
  );
  const servers = await Promise.all(
    sockets.map((socket) => startLimitProcess('echo-server', [socket])),
  );
  const clients = await Promise.all(
    Array.from({ length: shape.clients }, (_, index) =>
      startLimitProcess('echo-client', shape.paired ? sockets.slice(index, index + 1) : sockets),
    ),
  );
  async function runRound(round: EchoRound): Promise<number> {
    const rates = await Promise.all(clients.map(({ child }) => askForRound(child, round)));
    return rates.reduce((sum, rate) => sum + rate, 0);
  }
  return {
    contender: (load) => ({
      async warmUp(durationMs) {
        await runRound({ ...load, durationMs });
      },
      round: (durationMs) => runRound({ ...load, durationMs }),
    }),
    async [Symbol.asyncDispose]() {
      await Promise.all([...clients, ...servers].map((process) => process[Symbol.asyncDispose]()));
      await rm(directory, { recursive: true });
    },
  };
}

/** From forking bare Node processes, all at once, to the first word of the last one: what creating processes costs at least. */
export async function timeBareForks(count: number): Promise<number> {
  const start = performance.now();
  const echo = await startRawEcho({ clients: 0, servers: count });
  const elapsedMs = performance.now() - start;
  await echo[Symbol.asyncDispose]();
  return elapsedMs;
}

async function askForRound(client: ChildProcess, round: EchoRound): Promise<number> {
  const answered = once(client, 'message');
  client.send(round);
  const [rate] = (await answered) as [number];
  return rate;
}
