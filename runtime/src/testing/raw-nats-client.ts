import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import type { TestServer } from './server-under-test.ts';
import { waitFor } from './wait-for.ts';

export interface RawFrame {
  /** INFO, MSG, HMSG, PING, PONG, +OK, -ERR. */
  operation: string;
  /** The rest of the control line. */
  fields: string;
  /** Of MSG and HMSG, headers included. */
  payload: Buffer;
}

/** A NATS client that does nothing by itself: sends the bytes it is given and collects what the server says. */
export class RawNatsClient {
  readonly frames: RawFrame[] = [];
  readonly socket: Socket;
  closed = false;
  #buffer: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // A reset is one way in which a server may close; `closed` is what tests look at.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static async connect(server: TestServer): Promise<RawNatsClient> {
    const socket = createConnection({ host: server.host, port: server.port, noDelay: true });
    const client = new RawNatsClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Connects, says CONNECT with these fields and waits until the server has taken it. */
  static async ready(
    server: TestServer,
    fields: Record<string, unknown> = {},
  ): Promise<RawNatsClient> {
    const client = await RawNatsClient.connect(server);
    client.send(connectLine(fields));
    await client.sync();
    return client;
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Each byte in a packet of its own. */
  async sendByteByByte(bytes: Buffer): Promise<void> {
    for (const byte of bytes) {
      await new Promise<void>((resolve) => {
        this.socket.write(Buffer.of(byte), () => resolve());
      });
      // A turn of the event loop each, so that a server in this process reads between two bytes.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** Resolves when the server has handled everything sent before. */
  async sync(): Promise<void> {
    const seen = this.all('PONG').length;
    this.send('PING\r\n');
    await waitFor(() => this.all('PONG').length > seen || this.closed, { describe: 'PONG' });
    if (this.closed) throw new Error(`closed: ${JSON.stringify(this.all('-ERR'))}`);
  }

  all(operation: string): RawFrame[] {
    return this.frames.filter((frame) => frame.operation === operation);
  }

  /** Payloads of the messages that came, as text. */
  messages(): string[] {
    return this.all('MSG').map((frame) => frame.payload.toString());
  }

  errors(): string[] {
    return this.all('-ERR').map((frame) => frame.fields);
  }

  async untilClosed(): Promise<void> {
    await waitFor(() => this.closed, { describe: 'the server closes the connection' });
  }

  close(): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const lineEnd = this.#buffer.indexOf('\r\n');
      if (lineEnd < 0) return;
      const line = this.#buffer.toString('utf8', 0, lineEnd);
      const [operation = '', ...rest] = line.split(' ');
      const carriesPayload = operation === 'MSG' || operation === 'HMSG';
      const payloadBytes = carriesPayload ? Number(rest.at(-1)) : 0;
      const end = lineEnd + 2 + (carriesPayload ? payloadBytes + 2 : 0);
      if (this.#buffer.length < end) return;
      const payload = Buffer.from(this.#buffer.subarray(lineEnd + 2, lineEnd + 2 + payloadBytes));
      this.frames.push({ operation, fields: rest.join(' '), payload });
      this.#buffer = this.#buffer.subarray(end);
    }
  }
}

export function connectLine(fields: Record<string, unknown> = {}): string {
  const all = {
    verbose: false,
    pedantic: false,
    protocol: 1,
    headers: true,
    no_responders: true,
    ...fields,
  };
  return `CONNECT ${JSON.stringify(all)}\r\n`;
}
