import {
  AuthenticationError,
  ClusterUnavailableError,
  InvalidArgumentError,
} from '@manta/runtime/errors/errors';
import { parseAddress } from '@manta/runtime/session/address';
import { mantaHome, readSession } from '@manta/runtime/session/session-file';
import type { InitOptions } from './types.ts';

const CAPACITY = ['cpus', 'gpus', 'memoryBytes', 'resources'] as const;

/**
 * The cluster that `init()` joins; undefined: it starts one of its own. The token: the option, inside the address,
 * MANTA_TOKEN, else the one of the session, which is for the cluster of the session alone.
 * @throws InvalidArgumentError, ClusterUnavailableError, AuthenticationError
 */
export async function joinTarget(
  options: InitOptions,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<{ url: string; token: string } | undefined> {
  const address = options.address ?? (environment['MANTA_ADDRESS'] || undefined);
  if (address === undefined) return undefined;
  const amount = CAPACITY.find((name) => options[name] !== undefined);
  if (amount !== undefined) {
    throw new InvalidArgumentError(
      `Init option ${amount} is what a cluster started by init() has; the nodes of the one at ` +
        `${shown(address)} have what they were started with ("manta start --${optionOf(amount)}").`,
    );
  }
  const given = options.token;
  const home = mantaHome(environment);
  if (address === 'auto') {
    const session = await readSession(home);
    if (session === undefined) {
      throw new ClusterUnavailableError(
        'No cluster was started on this machine: run `manta start --head`, or call init() without an address.',
      );
    }
    return { url: session.address, token: given ?? session.token };
  }
  const { url, token: inAddress } = parseAddress(address);
  const token =
    given ??
    inAddress ??
    (environment['MANTA_TOKEN'] || undefined) ??
    (await sessionToken(url, home));
  if (token !== undefined) return { url, token };
  throw new AuthenticationError(
    `No token for ${url}: pass init({ token }) or set MANTA_TOKEN; "manta start --head" printed where it is kept.`,
  );
}

async function sessionToken(url: string, home: string): Promise<string | undefined> {
  const session = await readSession(home);
  return session?.address === url ? session.token : undefined;
}

const shown = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

const optionOf = (amount: (typeof CAPACITY)[number]): string =>
  amount === 'memoryBytes' ? 'memory' : amount;
