import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { InvalidArgumentError } from '@manta/sdk';

/** Where the server's certificate, with those between it and its authority, and its private key are, in PEM. */
export interface HttpTls {
  certificateFile: string;
  keyFile: string;
}

/** What is in the files. @throws InvalidArgumentError when they cannot be read, or do not belong together. */
export function readTls({ certificateFile, keyFile }: HttpTls): { cert: string; key: string } {
  try {
    const pair = {
      cert: readFileSync(certificateFile, 'utf8'),
      key: readFileSync(keyFile, 'utf8'),
    };
    createSecureContext(pair);
    return pair;
  } catch (cause) {
    throw new InvalidArgumentError(
      `HTTPS cannot be served with ${certificateFile} and ${keyFile}: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** What clients must know of a certificate. */
export interface CertificateFacts {
  /** `host`, where the certificate is for it; else the first that it is for. */
  host: string;
  /** It signs itself, so that clients have to be told to trust it. */
  isOwnAuthority: boolean;
}

export function certificateFacts(pem: string, host: string): CertificateFacts {
  const certificate = new X509Certificate(pem);
  const isFor = isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  const names = /(?:DNS|IP Address):([^,*]+)/.exec(certificate.subjectAltName ?? '');
  return {
    host: isFor === undefined ? (names?.[1] ?? host) : host,
    isOwnAuthority: certificate.checkIssued(certificate),
  };
}
