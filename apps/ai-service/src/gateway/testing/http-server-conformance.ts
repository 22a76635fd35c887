import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { setTimeout as sleepMs } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AddressInUseError, type HttpLimits, type ListenHttp } from '../http/http-server.ts';
import { ConformanceServer } from './conformance-server.ts';
import { RawClient } from './raw-http.ts';
import { describeWebSockets } from './web-socket-conformance.ts';

/** Small, so that going over them is quick. */
const LIMITS: Partial<HttpLimits> = {
  bodyBytes: 1024 * 1024,
  webSocketMessageBytes: 64 * 1024,
  webSocketPingIntervalMs: 100,
};

/** Holds the server that a test runs against: a fresh one for each. */
export interface Subject {
  server: ConformanceServer;
}

/** What every adapter must do, the same for all. */
export function describeHttpServerConformance(name: string, listen: ListenHttp): void {
  describe(`${name} as an HTTP server`, () => {
    const subject = {} as Subject;
    beforeEach(async () => {
      subject.server = await ConformanceServer.start(listen, LIMITS);
    });
    afterEach(() => subject.server[Symbol.asyncDispose]());
    describeBodies(subject);
    describeAnswers(subject);
    describeClientsThatLeave(subject);
    describeBadRequests(subject);
    describeListening(subject, listen);
    describeClosing(subject);
    describeWebSockets(subject);
  });
}

function describeBodies(subject: Subject): void {
  const post = (
    body: string | Uint8Array<ArrayBuffer>,
    init: RequestInit = {},
  ): Promise<Response> =>
    fetch(`${subject.server.url}/echo?a=1&b=%20`, { method: 'POST', body, ...init });

  test('gives method, query, headers and body to the handler', async () => {
    const answer = await post('hello', { headers: { 'X-Tell': 'it' } });
    expect(await answer.text()).toBe('hello');
    expect(answer.headers.get('x-method')).toBe('POST');
    expect(answer.headers.get('x-query')).toBe('a=1&b=%20');
    expect(answer.headers.get('x-told')).toBe('it');
    expect(answer.headers.get('content-length')).toBe('5');
  });

  test('serves a request that offers another protocol than WebSocket, and the next one', async () => {
    using client = new RawClient(subject.server.port);
    client.send(
      'POST /echo HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n' +
        'http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\ncontent-length: 5\r\n\r\nfirst',
    );
    await expect.poll(() => client.received).toMatch(/ 200 [^]*first$/);
    client.send('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nsecond');
    await expect.poll(() => client.received).toMatch(/second$/);
  });

  test('takes an empty body, and one at the limit byte by byte', async () => {
    expect(await (await post('')).text()).toBe('');
    const body = Buffer.from(Array.from({ length: 1024 * 1024 }, (_, index) => index % 251));
    expect(Buffer.from(await (await post(body)).arrayBuffer()).equals(body)).toBe(true);
  });

  test('takes chunked bodies', async () => {
    using client = new RawClient(subject.server.port);
    client.send('POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    for (const part of ['3\r\nabc\r\n', '4\r\nde', 'fg\r\n', '0\r\n\r\n']) {
      client.send(part);
      await sleepMs(5);
    }
    await expect.poll(() => client.received).toContain('abcdefg');
  });

  test('refuses a body over the limit, announced or not, with 413 and lives on', async () => {
    using announced = new RawClient(subject.server.port);
    announced.send('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\nstart');
    await expect.poll(() => announced.statuses).toEqual([413]);
    using chunked = new RawClient(subject.server.port);
    chunked.send('POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    for (let sent = 0; sent < 20; sent += 1) chunked.send(`10000\r\n${'x'.repeat(0x10000)}\r\n`);
    await expect.poll(() => chunked.statuses).toEqual([413]);
    expect(await (await post('still here')).text()).toBe('still here');
  });

  test('answers 100 Continue when the client waits for it', async () => {
    using client = new RawClient(subject.server.port);
    client.send(
      'POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n',
    );
    await expect.poll(() => client.statuses).toEqual([100]);
    client.send('ok');
    await expect.poll(() => client.statuses).toEqual([100, 200]);
  });

  test('keeps the connection when a body was not read', async () => {
    using client = new RawClient(subject.server.port);
    client.send('POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12345');
    await expect.poll(() => client.statuses).toEqual([401]);
    client.send('GET /text HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => client.statuses).toEqual([401, 200]);
  });
}

function describeAnswers(subject: Subject): void {
  test('sends text, bytes, nothing, and what is not there', async () => {
    const get = (path: string): Promise<Response> => fetch(subject.server.url + path);
    expect(await (await get('/text')).text()).toBe('grüße');
    const large = await (await get('/large')).arrayBuffer();
    expect(large.byteLength).toBe(8 * 1024 * 1024);
    expect((await get('/empty')).status).toBe(204);
    expect((await get('/missing%20one')).status).toBe(404);
  });

  test('answers HEAD with the head alone', async () => {
    using client = new RawClient(subject.server.port);
    client.send('HEAD /text HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => client.statuses).toEqual([200]);
    client.send('HEAD /events HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => client.statuses).toEqual([200, 200]);
    expect(client.received.toLowerCase()).toContain('content-length: 7');
    expect(client.received).not.toContain('gr');
    expect(client.received).not.toContain('data:');
  });

  test('passes OPTIONS and other methods on', async () => {
    for (const method of ['OPTIONS', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await fetch(`${subject.server.url}/echo`, { method });
      expect(answer.headers.get('x-method')).toBe(method);
    }
  });

  test('serves requests one after the other on one connection', async () => {
    using client = new RawClient(subject.server.port);
    const request = 'GET /text HTTP/1.1\r\nhost: x\r\n\r\n';
    client.send(request);
    await expect.poll(() => client.statuses).toHaveLength(1);
    client.send(request);
    await expect.poll(() => client.statuses).toHaveLength(2);
    expect(client.closed).toBe(false);
  });

  test('streams events as they are written', async () => {
    const answer = await fetch(`${subject.server.url}/events`);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect(await answer.text()).toBe('data: 0\n\ndata: 1\n\ndata: 2\n\n');
  });

  test('lets the first part of a stream out before the rest is known', async () => {
    using client = new RawClient(subject.server.port);
    client.send('GET /streaming HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => client.received).toContain('begun ');
    subject.server.release();
    await expect.poll(() => client.received).toContain('ended');
  });

  test('makes a fast writer wait for a slow reader', async () => {
    using client = new RawClient(subject.server.port);
    client.socket.pause();
    client.send('GET /firehose HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => subject.server.written).toBeGreaterThan(0);
    const stalledAt = await settled(() => subject.server.written);
    expect(stalledAt).toBeLessThan(32 * 1024 * 1024);
    client.socket.resume();
    await expect.poll(() => subject.server.written, { timeout: 10_000 }).toBe(32 * 1024 * 1024);
    await expect.poll(() => client.received.endsWith('0\r\n\r\n'), { timeout: 10_000 }).toBe(true);
  });

  test('turns a handler that throws into a 500, or a cut answer once begun', async () => {
    expect((await fetch(`${subject.server.url}/throws`)).status).toBe(500);
    const broken = await fetch(`${subject.server.url}/breaks`)
      .then((answer) => answer.text())
      .catch((error: unknown) => error);
    expect(broken).toBeInstanceOf(Error);
    expect(subject.server.errors).toHaveLength(2);
  });
}

/** The value once it no longer changes. */
async function settled(read: () => number): Promise<number> {
  let last = read();
  await expect
    .poll(
      () => {
        const same = read() === last;
        last = read();
        return same;
      },
      { interval: 100 },
    )
    .toBe(true);
  return last;
}

function describeClientsThatLeave(subject: Subject): void {
  test('aborts the signal when the client leaves before its answer, or in the middle of it', async () => {
    for (const path of ['/held', '/streaming']) {
      const before = subject.server.aborted;
      const client = new RawClient(subject.server.port);
      client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
      await once(client.socket, 'connect');
      await sleepMs(20);
      client.socket.destroy();
      await expect.poll(() => subject.server.aborted).toBe(before + 1);
      subject.server.release();
    }
    expect(subject.server.errors).toEqual([]);
  });

  test('does not abort when all went well', async () => {
    using client = new RawClient(subject.server.port);
    client.send('GET /held HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(client.socket, 'connect');
    await sleepMs(20);
    subject.server.release();
    await expect.poll(() => client.statuses).toEqual([200]);
    client.socket.destroy();
    await fetch(`${subject.server.url}/text`);
    expect(subject.server.aborted).toBe(0);
  });

  test('rejects the body of a client that leaves while sending it', async () => {
    const client = new RawClient(subject.server.port);
    client.send('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nsome');
    await once(client.socket, 'connect');
    await sleepMs(20);
    client.socket.destroy();
    await expect.poll(() => subject.server.bodyErrors).toEqual(['ClientGoneError']);
  });

  test('stops writing to a client that left', async () => {
    const client = new RawClient(subject.server.port);
    client.socket.pause();
    client.send('GET /firehose HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => subject.server.written).toBeGreaterThan(0);
    await settled(() => subject.server.written);
    client.socket.destroy();
    expect(await (await fetch(`${subject.server.url}/text`)).text()).toBe('grüße');
    expect(await settled(() => subject.server.written)).toBeLessThan(32 * 1024 * 1024);
  });
}

function describeBadRequests(subject: Subject): void {
  test.each([
    ['no HTTP at all', 'hello there\r\n\r\n'],
    ['a bad header', 'GET / HTTP/1.1\r\nhost x\r\n\r\n'],
    [
      'two lengths',
      'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
    ],
    [
      'a length and chunks',
      'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a negative length', 'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n'],
    [
      'a bad chunk',
      'POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n',
    ],
    ['another version', 'GET / HTTP/9.9\r\nhost: x\r\n\r\n'],
  ])('refuses %s and lives on', async (_what, text) => {
    using client = new RawClient(subject.server.port);
    client.send(text);
    await expect
      .poll(() => client.closed || client.statuses.some((status) => status >= 400), {
        // uWebSockets.js leaves a header without a colon to its idle timeout.
        timeout: 14_000,
      })
      .toBe(true);
    expect(client.statuses.every((status) => status >= 400)).toBe(true);
    expect((await fetch(`${subject.server.url}/text`)).status).toBe(200);
  });

  test('refuses too large a head with 431', async () => {
    using client = new RawClient(subject.server.port);
    client.send(`GET /text HTTP/1.1\r\nhost: x\r\nx-large: ${'y'.repeat(32 * 1024)}\r\n\r\n`);
    await expect.poll(() => client.statuses).toEqual([431]);
  });

  test('takes a head of 12 KiB', async () => {
    const answer = await fetch(`${subject.server.url}/echo`, {
      headers: { 'x-tell': 'z'.repeat(12_000) },
    });
    expect(answer.headers.get('x-told')).toHaveLength(12_000);
  });

  test('survives random bytes', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      using client = new RawClient(subject.server.port);
      client.send(
        Buffer.from(
          Array.from({ length: 400 }, (_, index) => (seed * 31 + index * index * 7) % 256),
        ),
      );
      client.socket.end();
      await expect.poll(() => client.closed).toBe(true);
    }
    expect((await fetch(`${subject.server.url}/text`)).status).toBe(200);
  });
}

function describeListening(subject: Subject, listen: ListenHttp): void {
  test('says so when the port is taken', async () => {
    const second = listen({
      port: subject.server.port,
      handler: () => undefined,
      upgrade: () => ({ status: 404, headers: {}, body: '' }),
      onHandlerError: () => undefined,
    });
    await expect(second).rejects.toBeInstanceOf(AddressInUseError);
  });
}

function describeClosing(subject: Subject): void {
  const held = async (path: string): Promise<RawClient> => {
    const client = new RawClient(subject.server.port);
    client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await once(client.socket, 'connect');
    await sleepMs(20);
    return client;
  };

  test('lets what runs finish and takes nothing new', async () => {
    using idle = new RawClient(subject.server.port);
    idle.send('GET /text HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => idle.statuses).toEqual([200]);
    using client = await held('/streaming');
    const closed = subject.server.server.close({ graceMs: 10_000 });
    using late = new RawClient(subject.server.port);
    await expect.poll(() => late.closed).toBe(true);
    expect(client.closed).toBe(false);
    subject.server.release();
    await closed;
    await expect.poll(() => client.received).toContain('ended');
    await expect.poll(() => client.closed && idle.closed).toBe(true);
    expect(subject.server.aborted).toBe(0);
  });

  test('cuts what does not finish in time, and closes once', async () => {
    using client = await held('/held');
    const closing = subject.server.server.close({ graceMs: 50 });
    expect(subject.server.server.close()).toBe(closing);
    await closing;
    await expect.poll(() => client.closed).toBe(true);
    await expect.poll(() => subject.server.aborted).toBe(1);
  });

  test('sends a large answer whole although it is closing', async () => {
    const chunks: Buffer[] = [];
    const request = httpRequest({ port: subject.server.port, host: '127.0.0.1', path: '/large' });
    request.end();
    const [answer] = (await once(request, 'response')) as [NodeJS.ReadableStream];
    const closed = subject.server.server.close({ graceMs: 10_000 });
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).length).toBe(8 * 1024 * 1024);
    await closed;
  });
}
