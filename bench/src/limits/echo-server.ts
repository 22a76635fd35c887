/** A bare process that answers every call of a frame in one frame. Argument: the path of its Unix socket. */
import { createServer } from 'node:net';
import { encodeFrame, FRAME_KIND, FrameReader } from '@manta/runtime/channel/frame';
import { RECORD } from '@manta/runtime/rpc/records';
import { LIMITS } from '@manta/runtime/wire/limits';

const path = process.argv[2];
if (path === undefined) throw new Error('usage: echo-server.js SOCKET');

const answer = Buffer.from('ok');
const server = createServer((socket) => {
  const reader = new FrameReader((frame) => {
    const replies = (frame.body as unknown[][]).map((record) => [RECORD.result, record[2], answer]);
    for (const buffer of encodeFrame(FRAME_KIND.records, replies)) socket.write(buffer);
  }, LIMITS.frameBytes);
  socket.on('data', (chunk) => reader.push(chunk));
  // The client's process may be killed at the end of a run.
  socket.on('error', () => socket.destroy());
});
server.listen(path, () => process.send?.('ready'));
process.on('disconnect', () => process.exit(0));
