import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Context } from '../context.ts';
import { pause } from '../context.ts';

const run = promisify(execFile);

/** Stands in the command line of every role, so that a number that now belongs to another program is recognised. */
export const ROLE_MARK = 'role-process.js';

/** True when this process exists and is a role of ours: numbers are used again after a restart of the machine. */
export async function isRole(pid: number): Promise<boolean> {
  try {
    const { stdout } = await run('ps', ['-o', 'args=', '-p', String(pid)]);
    return stdout.includes(ROLE_MARK) && isAlive(pid);
  } catch {
    // ps ends with 1 when there is no such process.
    return false;
  }
}

/** False also for a process that has ended and only waits for its parent to notice. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !hasEnded(pid);
}

function hasEnded(pid: number): boolean {
  try {
    const facts = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The state follows the program's name, which stands in brackets and may hold brackets.
    return facts.slice(facts.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    // Not Linux, or gone between the two looks, which the next one sees.
    return false;
  }
}

export type StopResult = 'stopped' | 'killed' | 'not-running';

/** Asks with TERM, and after `graceMs` ends it with KILL. */
export async function stopRole(
  context: Context,
  pid: number,
  graceMs: number,
): Promise<StopResult> {
  if (!(await isRole(pid))) return 'not-running';
  signal(pid, 'SIGTERM');
  if (await gone(context, pid, graceMs)) return 'stopped';
  signal(pid, 'SIGKILL');
  await gone(context, pid, graceMs);
  return 'killed';
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const POLL_MS = 20;

async function gone(context: Context, pid: number, timeoutMs: number): Promise<boolean> {
  const end = context.clock.now() + timeoutMs;
  // A second interrupt must not leave half a cluster, so this wait goes on through it.
  const quiet: Context = { ...context, interrupted: new AbortController().signal };
  while (isAlive(pid)) {
    if (context.clock.now() >= end) return false;
    await pause(quiet, POLL_MS);
  }
  return true;
}
