import { InvalidArgumentError } from '../errors/errors.ts';

export interface ParsedAddress {
  /** `nats://host:port` (or `tls://…`), without the token. */
  url: string;
  token?: string;
}

const DEFAULT_PORT = '4222';
const SCHEMES = new Set(['nats:', 'tls:']);

/** Whether the bus at these addresses, separated by commas, is spoken to with TLS, and channels between machines too. */
export function isEncryptedBus(urls: string): boolean {
  return urls.split(',').some((url) => url.startsWith('tls://'));
}

/**
 * Takes a cluster's address apart: `nats://host:port`, or `nats://TOKEN@host:port` when token and address travel
 * together. A missing port is 4222; a missing scheme is `nats://`.
 * @throws InvalidArgumentError when the text is no address.
 */
export function parseAddress(address: string): ParsedAddress {
  const text = address.includes('://') ? address : `nats://${address}`;
  // URL gives schemes it does not know no host rules of their own, so http stands in for them.
  const scheme = text.slice(0, text.indexOf('//'));
  const rest = text.slice(scheme.length);
  if (!SCHEMES.has(scheme) || !URL.canParse(`http:${rest}`)) throw notAnAddress(address);
  const parsed = new URL(`http:${rest}`);
  if (
    parsed.hostname === '' ||
    !['', '/'].includes(parsed.pathname) ||
    parsed.search ||
    parsed.hash
  ) {
    throw notAnAddress(address);
  }
  // Only an explicit port counts: URL drops `:80` as the default of http.
  const port = parsed.port || (/:80\/?$/.test(rest) ? '80' : DEFAULT_PORT);
  const url = `${scheme}//${parsed.hostname}:${port}`;
  const token = decodeURIComponent(parsed.password || parsed.username);
  return token === '' ? { url } : { url, token };
}

/** The address with its token inside: whoever has this text can join. */
export function addressWithToken(url: string, token: string): string {
  const parsed = parseAddress(url);
  return parsed.url.replace('//', `//${encodeURIComponent(token)}@`);
}

function notAnAddress(address: string): InvalidArgumentError {
  // The text may hold a token, so only what follows it is repeated.
  const shown = address.slice(address.lastIndexOf('@') + 1);
  return new InvalidArgumentError(
    `"${shown}" is not a cluster address: write nats://host:port, for example nats://10.0.0.5:4222`,
  );
}
