import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { waitFor } from '@manta/runtime/testing/wait-for';

/** Where Node.js opens its inspector on SIGUSR1. */
const INSPECTOR = 'http://127.0.0.1:9229/json/list';

/** Keeps the event loop of another Node.js process busy, by way of its inspector. Resolves when it is. */
export async function blockEventLoop(pid: number, milliseconds: number): Promise<void> {
  process.kill(pid, 'SIGUSR1');
  const url = await waitFor(
    async () => {
      const [target] = (await (await fetch(INSPECTOR)).json()) as {
        webSocketDebuggerUrl: string;
      }[];
      return target?.webSocketDebuggerUrl;
    },
    { describe: `the inspector of process ${pid} listens` },
  );
  const loop = `const end = Date.now() + ${milliseconds}; while (Date.now() < end);`;
  const expression = `setImmediate(() => { process.getBuiltinModule('inspector').close(); ${loop} })`;
  await evaluate(new URL(url), expression);
}

/** One message over a WebSocket, which Node.js 20 has no client for. */
async function evaluate(url: URL, expression: string): Promise<void> {
  const socket = connect(Number(url.port), url.hostname);
  await once(socket, 'connect');
  const key = randomBytes(16).toString('base64');
  const lines = [
    `GET ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  await once(socket, 'data');
  const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } });
  const body = Buffer.from(message);
  // A masked text frame whose mask changes nothing.
  const header = Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 0xff, 0, 0, 0, 0]);
  socket.write(Buffer.concat([header, body]));
  await once(socket, 'data');
  socket.destroy();
}
