import { readFile } from 'node:fs/promises';
import {
  AuthenticationError,
  ClusterUnavailableError,
  InvalidArgumentError,
} from '@manta/runtime/errors/errors';
import { parseAddress } from '@manta/runtime/session/address';
import { readSession } from '@manta/runtime/session/session-file';
import type { Context } from './context.ts';

export interface ConnectionOptions {
  address?: string;
  token?: string;
  tokenFile?: string;
  tlsCa?: string;
}
export interface Connection {
  /** `nats://host:port` or `tls://host:port`. */
  url: string;
  token: string;
}

/**
 * Which cluster a command means: `--address`, else MANTA_ADDRESS, else what `manta start` left on this machine. The
 * token: `--token`, `--token-file`, inside the address, MANTA_TOKEN, else the one of the session.
 */
export async function resolveConnection(
  context: Context,
  options: ConnectionOptions,
): Promise<Connection> {
  const session = await readSession(context.home);
  const asked = options.address ?? (context.environment['MANTA_ADDRESS'] || undefined);
  if (asked === undefined || asked === 'auto') {
    if (!session) throw noSession(context);
    return { url: session.address, token: (await givenToken(context, options)) ?? session.token };
  }
  const { url, token } = parseAddress(asked);
  const known = session?.address === url ? session.token : undefined;
  const chosen = (await givenToken(context, options, token)) ?? known;
  if (chosen === undefined) {
    throw new AuthenticationError(
      `no token for ${url}: pass --token-file FILE or set MANTA_TOKEN; "manta start --head" printed where it is kept`,
    );
  }
  return { url, token: chosen };
}

async function givenToken(
  context: Context,
  options: ConnectionOptions,
  inAddress?: string,
): Promise<string | undefined> {
  if (options.token !== undefined) return options.token;
  if (options.tokenFile !== undefined) return readTokenFile(options.tokenFile);
  return inAddress ?? (context.environment['MANTA_TOKEN'] || undefined);
}

export async function readTokenFile(path: string): Promise<string> {
  let token: string;
  try {
    token = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new InvalidArgumentError(
      `cannot read the token file ${path}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  if (token === '') throw new InvalidArgumentError(`the token file ${path} is empty`);
  return token;
}

function noSession(context: Context): ClusterUnavailableError {
  return new ClusterUnavailableError(
    `no cluster was started from ${context.home} and no address was given: run "manta start --head", ` +
      'or pass --address nats://host:port',
  );
}
