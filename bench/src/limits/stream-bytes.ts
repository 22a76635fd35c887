import { once } from 'node:events';
import { connect } from 'node:net';
import { mean } from '../harness/statistics.ts';
import { startLimitProcess } from './limit-process.ts';

const bytesPerGigabyte = 1e9;
const receiveBufferBytes = 4 * 1024 * 1024;

/**
 * Gigabytes per second that one process gets from another over TCP on the loopback interface, with nothing around the
 * bytes and nothing done with them (what `iperf3` measures), into one buffer that is used again and again.
 */
export async function streamBytes(load: { sizeBytes: number; rounds: number }): Promise<number> {
  await using sender = await startLimitProcess('stream-sender');
  const rates: number[] = [];
  for (let round = 0; round < load.rounds; round++) {
    const start = performance.now();
    await receive(sender.firstWord as number, load.sizeBytes);
    rates.push(load.sizeBytes / bytesPerGigabyte / ((performance.now() - start) / 1000));
  }
  return mean(rates);
}

async function receive(port: number, sizeBytes: number): Promise<void> {
  let received = 0;
  const socket = connect({
    host: '127.0.0.1',
    port,
    onread: {
      buffer: Buffer.alloc(receiveBufferBytes),
      callback(count) {
        received += count;
        return true;
      },
    },
  });
  socket.write(String(sizeBytes));
  await once(socket, 'close');
  if (received !== sizeBytes) throw new Error(`${received} of ${sizeBytes} bytes came.`);
}
