import { hkdfSync } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect, createServer, type Server, type TlsOptions, type TLSSocket } from 'node:tls';
import { AuthenticationError, ProtocolError, type MantaError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';

/**
 * Channels between machines, where the bus has TLS: TLS 1.3 with the cluster's token as its pre-shared key and an ephemeral
 * key exchange besides (RFC 8446 § 2.2, `psk_dhe_ke`), so there are no certificates to hand out, and who learns the
 * token later cannot read what was recorded before.
 */
const PARAMETERS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // A key from outside goes with SHA-256 (§ 4.2.11), so it is one of the two suites with that.
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const satisfies TlsOptions;

const IDENTITY = 'manta channel';
const KEY_BYTES = 32;

function keyFrom(token: string): Buffer {
  return Buffer.from(hkdfSync('sha256', token, '', IDENTITY, KEY_BYTES));
}

export interface ChannelTlsServerOptions {
  token: string;
  onSocket: (socket: Socket) => void;
  onRefused?: ((reason: MantaError) => void) | undefined;
  /** Is kept to those that are open, from before their handshake. */
  connections: Set<Socket>;
}

/** Not listening yet. A connection counts from when its peer has the key. */
export function createChannelTlsServer(options: ChannelTlsServerOptions): Server {
  const key = keyFrom(options.token);
  const server = createServer(
    {
      ...PARAMETERS,
      handshakeTimeout: LIMITS.handshakeTimeoutMs,
      pskCallback: (_socket, identity) => (identity === IDENTITY ? key : null),
    },
    (socket) => options.onSocket(socket),
  );
  server.on('connection', (connection: Socket) => {
    options.connections.add(connection);
    connection.once('close', () => options.connections.delete(connection));
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    options.onRefused?.(refusalOf(error));
    socket.destroy();
  });
  return server;
}

/** What the TLS handshake of a peer failed with. */
function refusalOf(error: NodeJS.ErrnoException): MantaError {
  return error.code === 'ERR_SSL_BINDER_DOES_NOT_VERIFY'
    ? new AuthenticationError('A peer has another cluster token.', { cause: error })
    : new ProtocolError(`A peer does not speak TLS as channels do: ${error.message}`, {
        cause: error,
      });
}

/** A connection under way: `secureConnect` follows, or `error`. */
export function connectChannelTls(where: { host: string; port: number }, token: string): TLSSocket {
  return connect({
    ...where,
    ...PARAMETERS,
    pskCallback: () => ({ psk: keyFrom(token), identity: IDENTITY }),
    // Without the key a server could still come with a certificate, and some authority may have signed it.
    ca: [],
    rejectUnauthorized: true,
    checkServerIdentity: () => new AuthenticationError('The peer showed a certificate.'),
  });
}

/** What servers say (by alerts) whose token is another one: OpenSSL 3.0, and later ones. */
const OTHER_KEY = new Set([
  'ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER',
  'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR',
]);

export const isOtherKey = (error: NodeJS.ErrnoException): boolean =>
  error.code !== undefined && OTHER_KEY.has(error.code);
