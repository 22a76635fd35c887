import { createServer } from 'node:net';

/** A bare process that sends the asked number of bytes over every connection it gets: what a network gives at most. */
const chunk = Buffer.alloc(4 * 1024 * 1024, 7);

const server = createServer((socket) => {
  socket.once('data', (request) => {
    let left = Number(request.toString());
    const send = (): void => {
      while (left > 0) {
        const bytes = left < chunk.byteLength ? chunk.subarray(0, left) : chunk;
        left -= bytes.byteLength;
        if (!socket.write(bytes)) {
          socket.once('drain', send);
          return;
        }
      }
      socket.end();
    };
    send();
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.(address.port);
});
process.once('disconnect', () => process.exit());
