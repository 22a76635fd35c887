import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';

export interface TlsServer {
  readonly url: string;
  close(): void;
}

/** Answers `trusted` to everybody who trusts its certificate, TEST_CERTIFICATE. */
export async function startTlsServer(): Promise<TlsServer> {
  const server = createServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, (_request, response) =>
    response.end('trusted'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `https://localhost:${port}`, close: () => server.close() };
}
