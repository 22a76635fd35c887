import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const PS_TIMEOUT_MS = 2_000;

/**
 * When a process started, as this system writes it: tells it from a later one with the same id. Undefined: the process
 * is gone, or the system does not tell.
 */
export function processStart(
  pid: number,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  try {
    return platform === 'linux' ? ticksSinceBoot(pid) : dateByPs(pid);
  } catch {
    // No such process, or no `ps`.
    return undefined;
  }
}

/** Field 22; the name of the program, in brackets before it, may hold anything. */
const ticksSinceBoot = (pid: number): string | undefined =>
  readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19];

/** In the same words whoever asks. */
function dateByPs(pid: number): string | undefined {
  const date = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
    encoding: 'latin1',
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: PS_TIMEOUT_MS,
  }).trim();
  return date === '' ? undefined : date;
}
