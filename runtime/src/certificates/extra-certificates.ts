import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import tls, { type SecureContext, type SecureContextOptions } from 'node:tls';

const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** Beside `ca`: with one of these a context is its caller's own; without any, all are equal and one does for all. */
const OWN_OPTIONS = [
  'cert',
  'key',
  'pfx',
  'passphrase',
  'crl',
  'ciphers',
  'sigalgs',
  'dhparam',
  'ecdhCurve',
  'minVersion',
  'maxVersion',
  'secureProtocol',
  'secureOptions',
  'honorCipherOrder',
  'clientCertEngine',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'allowPartialTrustChain',
  'sessionIdContext',
  'sessionTimeout',
  'ticketKeys',
] as (keyof SecureContextOptions)[];

/**
 * From now on this thread's TLS contexts trust the certificates in that file beside those that Node.js knows, unless
 * `ca` says whom to trust: what `NODE_EXTRA_CA_CERTS` means, at the first context instead of at the start. A file that
 * cannot be read is warned of, as Node.js does.
 */
export function trustExtraCertificates(file: string): void {
  const createSecureContext = tls.createSecureContext;
  let extra: string | undefined;
  let shared: SecureContext | undefined;
  const createWithExtra = (options?: SecureContextOptions): SecureContext => {
    const context = createSecureContext(options);
    extra ??= readExtraCertificates(file);
    if (extra !== '') certificateStoreOf(context).addCACert(extra);
    return context;
  };
  tls.createSecureContext = (options) => {
    if (options?.ca) return createSecureContext(options);
    if (OWN_OPTIONS.some((name) => options?.[name] !== undefined)) return createWithExtra(options);
    // Reading them again for each connection would take longer than the connection.
    return (shared ??= createWithExtra(options));
  };
  syncBuiltinESMExports();
}

/** The part of Node.js that libraries which bring certificates of the system use as well. */
function certificateStoreOf(context: SecureContext): { addCACert(certificates: string): void } {
  return context.context as { addCACert(certificates: string): void };
}

/** Those in the file that Node.js does not know by itself, as PEM. Often it is a whole bundle, with one of a company. */
function readExtraCertificates(file: string): string {
  try {
    const found = readFileSync(file, 'latin1').match(CERTIFICATE);
    if (found === null) throw new Error('it has no certificate');
    const known = new Set(tls.rootCertificates.map(withoutSpaces));
    return found.filter((certificate) => !known.has(withoutSpaces(certificate))).join('\n');
  } catch (error) {
    process.emitWarning(`Ignoring extra certs from \`${file}\`: ${(error as Error).message}`);
    return '';
  }
}

const withoutSpaces = (text: string): string => text.replaceAll(/\s/g, '');
