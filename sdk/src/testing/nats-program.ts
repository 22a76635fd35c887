import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';

export interface NatsProgram {
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** Runs a real nats-server (MANTA_NATS_SERVER, else the one on the PATH). @throws ClusterUnavailableError */
export async function startNatsProgram(options: {
  port: number;
  token: string;
  directory: string;
}): Promise<NatsProgram> {
  await mkdir(options.directory, { recursive: true });
  const file = join(options.directory, 'nats.conf');
  await writeFile(
    file,
    `host: "127.0.0.1"\nport: ${options.port}\nmax_payload: 8MB\nauthorization { token: "${options.token}" }\n`,
    { mode: 0o600 },
  );
  const program = process.env['MANTA_NATS_SERVER'] ?? 'nats-server';
  const child = spawn(program, ['-c', file], { stdio: 'ignore' });
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(options.port))) {
    if (failure !== undefined || child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new ClusterUnavailableError(
        `${program} did not start${failure === undefined ? '' : `: ${failure.message}`}. Install nats-server 2.9 or newer, or name it in MANTA_NATS_SERVER.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return {
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
