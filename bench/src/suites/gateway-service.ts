import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startTestCluster } from '@manta/sdk/testing';
import { repositoryPath } from '../repository.ts';

const readyTimeoutMs = 120_000;

/** The AI service in a process of its own, with its cluster, and one beside it that this process can join. */
export interface Service extends AsyncDisposable {
  port: number;
  apiKey: string;
  clusterAddress: string;
}

export async function startService(): Promise<Service> {
  const cluster = await startTestCluster({ nodes: [{ cpus: 8 }] });
  const dataDirectory = await mkdtemp(join(tmpdir(), 'manta-bench-'));
  const port = await freePort();
  const main = repositoryPath('apps/ai-service/dist/main.js');
  const args = [main, '--port', String(port), '--data', dataDirectory];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const dispose = async (): Promise<void> => {
    await endProcess(child);
    await cluster[Symbol.asyncDispose]();
    await rm(dataDirectory, { recursive: true });
  };
  try {
    await untilReady(child, port);
    const apiKey = (await readFile(join(dataDirectory, 'api-key'), 'utf8')).trim();
    return { port, apiKey, clusterAddress: cluster.address, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function untilReady(child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`The service ended with code ${child.exitCode}.`);
    if (await answersReady(port)) return;
    await delay(100);
  }
  throw new Error(`The service was not ready after ${readyTimeoutMs} ms.`);
}

async function answersReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  } catch {
    // Refused: it does not listen yet.
    return false;
  }
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}

export interface EmbeddingsClient {
  /** The bytes of the answer's body, once it has been read. @throws Error when its status is not 200. */
  request(): Promise<number>;
  close(): void;
}

/** A client with one connection that it keeps. */
export function embeddingsClient(
  { port, apiKey }: Pick<Service, 'port' | 'apiKey'>,
  body: unknown,
): EmbeddingsClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const payload = Buffer.from(JSON.stringify(body));
  const options = {
    agent,
    host: '127.0.0.1',
    port,
    path: '/v1/embeddings',
    method: 'POST',
    headers: {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
      'content-length': payload.length,
    },
  };
  return {
    request: () =>
      new Promise((resolve, reject) => {
        const outgoing = request(options, (answer) => {
          let bytes = 0;
          answer.on('data', (chunk: Buffer) => (bytes += chunk.length));
          answer.on('error', reject);
          answer.on('end', () => {
            if (answer.statusCode === 200) resolve(bytes);
            else reject(new Error(`The service answered ${String(answer.statusCode)}.`));
          });
        });
        outgoing.on('error', reject);
        outgoing.end(payload);
      }),
    close: () => agent.destroy(),
  };
}
