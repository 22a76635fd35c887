import { readFile } from 'node:fs/promises';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { InvalidArgumentError } from '../errors/errors.ts';
import { isEncryptedBus } from '../session/address.ts';
import { mantaHome, readSession } from '../session/session-file.ts';

/**
 * Names the file with the authority that signed the bus's certificate, in PEM. Absent: the one that `manta start` on this
 * machine was given for that address, else those that Node.js trusts.
 */
export const TLS_CA_VARIABLE = 'MANTA_TLS_CA';

export interface BusTls {
  ca?: string;
  checkServerIdentity(hostname: string, certificate: PeerCertificate): Error | undefined;
}

/**
 * What TLS with these servers takes; undefined when none is a `tls://` one.
 * @throws InvalidArgumentError when the file of the authority cannot be read.
 */
export async function busTls(
  servers: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<BusTls | undefined> {
  if (!isEncryptedBus(servers.join(','))) return undefined;
  const hosts = servers.map((server) => hostOf(server));
  const caFile = environment[TLS_CA_VARIABLE] || (await sessionAuthority(servers, environment));
  return {
    ...(caFile === undefined ? {} : { ca: await readAuthority(caFile) }),
    // The NATS client would hold certificates against `localhost` where an address has no name.
    checkServerIdentity: (_hostname, certificate) => {
      const errors = hosts.map((host) => checkServerIdentity(host, certificate));
      return errors.includes(undefined) ? undefined : errors[0];
    },
  };
}

function hostOf(server: string): string {
  const { hostname } = new URL(server.replace(/^(\w+:\/\/)?/, 'http://'));
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

async function sessionAuthority(
  servers: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const session = await readSession(mantaHome(environment));
  return session !== undefined && servers.includes(session.address) ? session.tlsCaFile : undefined;
}

async function readAuthority(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new InvalidArgumentError(
      `The certificate authority of the cluster cannot be read from ${file} (--tls-ca, ${TLS_CA_VARIABLE}): ${(cause as Error).message}`,
      { cause },
    );
  }
}
