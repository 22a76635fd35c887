import { errors } from '@nats-io/transport-node';
import { AuthenticationError, ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import { TLS_CA_VARIABLE } from './bus-tls.ts';

/** What OpenSSL says of certificates whose authority it does not know. */
const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** The only place that knows the errors of the NATS client. `servers` is what the user gave, for the message. */
export function connectError(cause: unknown, servers: readonly string[]): MantaError {
  const where = servers.join(', ');
  if (isAuthorization(cause)) {
    return new AuthenticationError(
      `The message bus at ${where} refused the token. Pass the cluster's join token: MANTA_TOKEN, or the token option.`,
      { cause },
    );
  }
  return new ClusterUnavailableError(
    `No connection to the message bus at ${where}: ${reasonOf(cause)}. ` +
      'Check the address, and that the head (or the NATS server) runs there: `manta status`.',
    { cause },
  );
}

/** What went wrong on a connection that was there. */
export function connectionError(cause: unknown, what: string): MantaError {
  return new ClusterUnavailableError(`${what}: ${reasonOf(cause)}`, { cause });
}

function isAuthorization(cause: unknown): boolean {
  // The client calls it the same when a busy server gives up waiting for the token.
  return cause instanceof errors.AuthorizationError && !/timeout/i.test(cause.message);
}

function reasonOf(cause: unknown): string {
  if (cause instanceof errors.TimeoutError) return 'no answer in time';
  if (cause instanceof errors.ClosedConnectionError) return 'the connection is closed';
  if (cause instanceof errors.DrainingConnectionError) return 'the connection is being closed';
  // The client rejects with undefined when the peer closes without a word.
  if (!(cause instanceof Error)) return 'the peer closed the connection';
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== undefined && UNTRUSTED.has(code))
    return `its certificate is not trusted here (${code}): name the file of the authority that signed it by ${TLS_CA_VARIABLE}, or by --tls-ca of \`manta\` commands`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host name is not known';
  return cause.message === '' ? (code ?? cause.name) : cause.message;
}
