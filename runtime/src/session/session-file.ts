import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { ClusterUnavailableError } from '../errors/errors.ts';

const pid = v.pipe(v.number(), v.integer(), v.minValue(1));
const SessionSchema = v.object({
  address: v.pipe(v.string(), v.minLength(1)),
  token: v.string(),
  clusterId: v.exactOptional(v.string()),
  tlsCaFile: v.exactOptional(v.string()),
  pids: v.object({ head: v.exactOptional(pid), nodes: v.array(pid) }),
  startedAt: v.number(),
});

/** What `manta start` left on this machine; `init({ address: 'auto' })` joins it. */
export interface Session {
  /** `nats://host:port` or `tls://host:port`, without the token. */
  address: string;
  token: string;
  clusterId?: string;
  /** The authority that signed the certificate at `address`, where Node.js does not know it. */
  tlsCaFile?: string;
  /** Processes that `manta stop` ends. */
  pids: { head?: number; nodes: number[] };
  /** Milliseconds since the epoch. */
  startedAt: number;
}

/** Where this user's Manta keeps its session, token, state and logs: MANTA_HOME, else `~/.manta`. */
export function mantaHome(environment: NodeJS.ProcessEnv = process.env): string {
  return environment['MANTA_HOME'] || join(homedir(), '.manta');
}

export function sessionPath(home: string = mantaHome()): string {
  return join(home, 'session.json');
}

/**
 * The session of this machine, or undefined when none was started.
 * @throws ClusterUnavailableError when the file is there and cannot be used.
 */
export async function readSession(home: string = mantaHome()): Promise<Session | undefined> {
  const path = sessionPath(home);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(path, error);
  }
  try {
    return v.parse(SessionSchema, JSON.parse(text));
  } catch (error) {
    throw unusable(path, error);
  }
}

/** Replaces the file in one step, readable by its owner alone. */
export async function writeSession(session: Session, home: string = mantaHome()): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const path = sessionPath(home);
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, `${JSON.stringify(session, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, path);
}

export async function removeSession(home: string = mantaHome()): Promise<void> {
  await rm(sessionPath(home), { force: true });
}

function unusable(path: string, cause: unknown): ClusterUnavailableError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ClusterUnavailableError(
    `cannot use the session file ${path}: ${why}; run "manta stop", or remove the file and start again`,
    { cause },
  );
}
