import { connect, type Socket } from 'node:net';

/** A TCP client that sends what no HTTP client would, and keeps what comes back. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  received = '';
  closed = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk: string) => (this.received += chunk));
    this.socket.on('close', () => (this.closed = true));
    // A reset is one of the ways to be refused; `closed` tells.
    this.socket.on('error', () => undefined);
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** Status codes of the answers so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
