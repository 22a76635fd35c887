import { once } from 'node:events';
import { setTimeout as sleepMs } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import type { Subject } from './http-server-conformance.ts';

/** A `ws` client that keeps what it gets. */
class Client {
  readonly socket: WebSocket;
  readonly messages: (string | Buffer)[] = [];
  closeCode = 0;
  refusedWith = 0;

  constructor(port: number, key: string, options: ClientOptions = {}) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, {
      headers: { authorization: `Bearer ${key}` },
      ...options,
    });
    this.socket.on('message', (data, isBinary) =>
      this.messages.push(isBinary ? (data as Buffer) : (data as Buffer).toString()),
    );
    this.socket.on('close', (code) => (this.closeCode = code));
    this.socket.on('unexpected-response', (_request, response) => {
      this.refusedWith = response.statusCode ?? 0;
      response.destroy();
    });
    // A refusal or a cut; the fields above tell which.
    this.socket.on('error', () => undefined);
  }
}

export function describeWebSockets(subject: Subject): void {
  const clients: Client[] = [];
  const open = async (options?: ClientOptions): Promise<Client> => {
    const client = new Client(subject.server.port, 'yes', options);
    clients.push(client);
    await once(client.socket, 'open');
    return client;
  };
  afterEach(() => {
    for (const client of clients.splice(0)) client.socket.terminate();
  });

  describe('WebSockets', () => {
    describeMessages(subject, open);
    describeEnds(subject, open);

    test('are refused before the upgrade', async () => {
      const client = new Client(subject.server.port, 'no');
      await expect.poll(() => client.refusedWith).toBe(401);
      expect(subject.server.sockets).toHaveLength(0);
    });
  });
}

type Open = (options?: ClientOptions) => Promise<Client>;

function describeMessages(subject: Subject, open: Open): void {
  test('carry text and bytes both ways, in order', async () => {
    const client = await open();
    client.socket.send('grüße');
    client.socket.send(Buffer.from([0, 255, 1]));
    client.socket.send('');
    await expect.poll(() => client.messages).toEqual(['grüße', Buffer.from([0, 255, 1]), '']);
  });

  test('put fragments together', async () => {
    const client = await open();
    client.socket.send('one ', { fin: false });
    client.socket.send('two ', { fin: false });
    client.socket.ping();
    client.socket.send('three', { fin: true });
    await expect.poll(() => client.messages).toEqual(['one two three']);
  });

  test('answer pings', async () => {
    const client = await open();
    client.socket.ping('are you there');
    const [data] = (await once(client.socket, 'pong')) as [Buffer];
    expect(data.toString()).toBe('are you there');
  });

  test('close on a message over the limit', async () => {
    const client = await open();
    client.socket.send('x'.repeat(64 * 1024));
    await expect.poll(() => client.messages).toHaveLength(1);
    client.socket.send('x'.repeat(64 * 1024 + 1));
    await expect.poll(() => [1009, 1006]).toContain(await closeCode(client));
    await expect.poll(() => subject.server.socketsClosed).toBe(1);
  });

  test('close on text that is not UTF-8', async () => {
    const client = await open();
    client.socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect([1007, 1006]).toContain(await closeCode(client));
  });

  test('tell a fast sender to wait for a slow reader', async () => {
    const client = await open();
    client.socket.pause();
    client.socket.send('flood');
    await expect.poll(() => subject.server.written).toBeGreaterThan(0);
    expect(subject.server.sockets[0]?.bufferedBytes).toBeGreaterThan(0);
    client.socket.resume();
    await expect.poll(() => client.messages.at(-1)).toBe('drained');
    expect(subject.server.sockets[0]?.bufferedBytes).toBeLessThanOrEqual(1024 * 1024);
  });
}

async function closeCode(client: Client): Promise<number> {
  await expect.poll(() => client.closeCode).not.toBe(0);
  return client.closeCode;
}

function describeEnds(subject: Subject, open: Open): void {
  test('close from either side, and the handlers hear of it once', async () => {
    const leaving = await open();
    leaving.socket.close(1000, 'bye');
    await expect.poll(() => subject.server.socketsClosed).toBe(1);
    const sent = await open();
    sent.socket.send('close');
    expect(await closeCode(sent)).toBe(4001);
    const cut = await open();
    cut.socket.terminate();
    await expect.poll(() => subject.server.socketsClosed).toBe(3);
    expect(subject.server.sockets.map((socket) => socket.open)).toEqual([false, false, false]);
    expect(subject.server.sockets[0]?.send('too late')).toBe(true);
  });

  test('are dropped when they answer no ping, and kept when they do', async () => {
    const silent = await open({ autoPong: false });
    const alive = await open();
    await expect.poll(() => silent.closeCode).not.toBe(0);
    await sleepMs(250);
    expect(alive.closeCode).toBe(0);
  });

  test('finish their work when the server closes, and get 1001', async () => {
    let finish: () => void = () => undefined;
    subject.server.socketWork = new Promise((resolve) => (finish = resolve));
    const client = await open();
    const closed = subject.server.server.close({ graceMs: 10_000 });
    client.socket.send('still served');
    await expect.poll(() => client.messages).toEqual(['still served']);
    finish();
    expect(await closeCode(client)).toBe(1001);
    await closed;
  });

  test('are cut when their work does not end in time', async () => {
    subject.server.socketWork = new Promise(() => undefined);
    const client = await open();
    await subject.server.server.close({ graceMs: 50 });
    expect(await closeCode(client)).toBe(1006);
  });
}
