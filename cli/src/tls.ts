import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';

export interface TlsOptions {
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
}

/** What a head needs to take TLS only, and what those who come to it on this machine are to trust. */
export interface HeadTls {
  tls?: { cert: string; key: string };
  /** Absolute. */
  tlsCaFile?: string;
}

/**
 * Reads and checks the files. A certificate that signs itself is its own authority, unless another one is given.
 * @param host By which others reach the head: the certificate must be for it.
 * @throws InvalidArgumentError when one of them is missing, unreadable or does not fit.
 */
export async function headTls(
  { tlsCert, tlsKey, tlsCa }: TlsOptions,
  host: string,
): Promise<HeadTls> {
  const given = tlsCa === undefined ? {} : { tlsCaFile: await authorityFile(tlsCa) };
  if (tlsCert === undefined && tlsKey === undefined) return given;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new InvalidArgumentError('--tls-cert and --tls-key go together: give both');
  const cert = await read('--tls-cert', tlsCert);
  const key = await read('--tls-key', tlsKey);
  const certificate = certificateIn(tlsCert, cert);
  checkKey(certificate, tlsKey, key);
  checkName(certificate, tlsCert, host);
  const isOwnAuthority = certificate.checkIssued(certificate);
  return {
    ...(isOwnAuthority && { tlsCaFile: resolve(tlsCert) }),
    ...given,
    tls: { cert, key },
  };
}

/** The file, absolute, once it is seen to hold certificates. @throws InvalidArgumentError */
export async function authorityFile(file: string): Promise<string> {
  certificateIn(file, await read('--tls-ca', file));
  return resolve(file);
}

async function read(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new InvalidArgumentError(`${option}: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function certificateIn(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new InvalidArgumentError(`${file} holds no certificate in PEM`, { cause });
  }
}

function checkKey(certificate: X509Certificate, file: string, pem: string): void {
  let fits: boolean;
  try {
    fits = certificate.checkPrivateKey(createPrivateKey(pem));
  } catch (cause) {
    throw new InvalidArgumentError(`${file} holds no private key in PEM without a passphrase`, {
      cause,
    });
  }
  if (!fits) throw new InvalidArgumentError(`the key in ${file} is not that of the certificate`);
}

function checkName(certificate: X509Certificate, file: string, host: string): void {
  const isFor = isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  if (isFor !== undefined) return;
  throw new InvalidArgumentError(
    `the certificate in ${file} is for ${certificate.subjectAltName ?? 'no name'}, and others reach this head by ${host}: ` +
      'give --host one of its names, or a certificate for that one',
  );
}
