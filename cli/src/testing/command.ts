import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The command, as a person runs it. */
export const COMMAND = fileURLToPath(new URL('../../bin/manta.mjs', import.meta.url));

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Node.js for a person with this home, who knows of no cluster but what is in it and in `environment`. */
export function runNode(
  home: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  const { MANTA_ADDRESS: _address, MANTA_TOKEN: _token, ...inherited } = process.env;
  return spawn(process.execPath, args, {
    env: { ...inherited, MANTA_HOME: home, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export async function finish(child: ChildProcess): Promise<Ended> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (text) => (out += String(text)));
  child.stderr?.on('data', (text) => (err += String(text)));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}
