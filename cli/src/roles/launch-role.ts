import { fork, type ChildProcess, type StdioOptions } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import { TLS_CA_VARIABLE } from '@manta/runtime/transport/bus-tls';
import { errorOfName } from './role-errors.ts';
import type { RoleAnswer, RoleConfiguration } from './role-protocol.ts';

/** A node that detects its resources and starts its first processes needs far less; a cold disk may need this. */
const READY_TIMEOUT_MS = 60_000;
const LOG_LINES_SHOWN = 15;
const ENTRY = fileURLToPath(new URL('./role-process.js', import.meta.url));

export interface LaunchedRole<Answer> {
  pid: number;
  answer: Answer;
  /** Settles when the process ends; only used in the foreground. */
  exited: Promise<void>;
}
type Ready<Role extends 'head' | 'node'> = Extract<RoleAnswer, { type: 'ready'; role: Role }>;

/**
 * Starts a head or a node as a process of its own and waits until it serves. In the background it survives this
 * command and writes to `logFile`.
 * @throws ClusterUnavailableError, or what the role failed with, when it does not come up.
 */
export async function launchRole<Role extends 'head' | 'node'>(
  role: Role,
  configuration: RoleConfiguration,
  logFile: string,
): Promise<LaunchedRole<Ready<Role>>> {
  const child = await spawnRole(role, configuration, logFile);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    const answer = await firstAnswer(child, configuration, role);
    if (answer.type === 'failed')
      throw errorOfName(answer.name, `the ${role} did not start: ${answer.message}`);
    if (!configuration.endWithParent) {
      child.disconnect();
      child.unref();
    }
    return { pid: child.pid ?? 0, answer: answer as Ready<Role>, exited };
  } catch (error) {
    child.kill('SIGKILL');
    await exited;
    throw await withLog(error, logFile, configuration.endWithParent);
  }
}

async function spawnRole(
  role: string,
  { endWithParent, tlsCaFile }: RoleConfiguration,
  logFile: string,
): Promise<ChildProcess> {
  const authority = tlsCaFile === undefined ? {} : { [TLS_CA_VARIABLE]: tlsCaFile };
  // A node's processes have it from there as well.
  const env = { ...process.env, ...authority };
  if (endWithParent)
    return fork(ENTRY, [role], { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await mkdir(dirname(logFile), { recursive: true, mode: 0o700 });
  const log = await open(logFile, 'a', 0o600);
  try {
    const stdio = ['ignore', log.fd, log.fd, 'ipc'] as StdioOptions;
    return fork(ENTRY, [role], { env, detached: true, stdio });
  } finally {
    await log.close();
  }
}

function firstAnswer(
  child: ChildProcess,
  configuration: RoleConfiguration,
  role: string,
): Promise<RoleAnswer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () =>
        reject(
          new ClusterUnavailableError(`the ${role} was not ready after ${READY_TIMEOUT_MS} ms`),
        ),
      READY_TIMEOUT_MS,
    );
    const settle = (action: () => void): void => {
      clearTimeout(timer);
      child.removeAllListeners('message');
      action();
    };
    child.once('message', (answer) => settle(() => resolve(answer as RoleAnswer)));
    child.once('error', (error) => settle(() => reject(error)));
    child.once('exit', (code, signal) =>
      settle(() =>
        reject(
          new ClusterUnavailableError(
            `the ${role} ended at its start (${signal ?? `exit code ${code}`})`,
          ),
        ),
      ),
    );
    child.send(configuration);
  });
}

async function withLog(error: unknown, logFile: string, foreground: boolean): Promise<unknown> {
  if (foreground || !(error instanceof Error)) return error;
  const text = await readFile(logFile, 'utf8').catch(() => '');
  const lines = text.trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  error.message += `\nlog: ${logFile}${lines === '' ? '' : `\n${lines}`}`;
  return error;
}
