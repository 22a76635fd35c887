/**
 * A bare process that keeps echo servers busy. Arguments: the servers' Unix sockets. It takes rounds over IPC and
 * answers each with the calls per second it saw; nothing but sockets and frames is in its loop.
 */
import { once } from 'node:events';
import { type Socket, createConnection } from 'node:net';
import { encodeFrame, FRAME_KIND, FrameReader } from '@manta/runtime/channel/frame';
import { RECORD } from '@manta/runtime/rpc/records';
import { LIMITS } from '@manta/runtime/wire/limits';

export interface EchoRound {
  /** Calls in the one frame that each server gets at a time. */
  callsPerServer: number;
  /** Each call carries its number as an argument. */
  withArgument: boolean;
  durationMs: number;
}

interface Link {
  socket: Socket;
  received: number;
}

let onProgress: () => void = () => undefined;

async function connect(path: string): Promise<Link> {
  const link: Link = { socket: createConnection(path), received: 0 };
  const reader = new FrameReader((frame) => {
    link.received += (frame.body as unknown[][]).length;
    onProgress();
  }, LIMITS.frameBytes);
  link.socket.on('data', (chunk) => reader.push(chunk));
  await once(link.socket, 'connect');
  return link;
}

const links = await Promise.all(process.argv.slice(2).map(connect));

/** `[call, port, call, method, args]`: the records of `rpc/`, in which a method is a number. */
function callsOf(round: EchoRound): unknown[][] {
  return Array.from({ length: round.callsPerServer }, (_, sequence) => [
    RECORD.call,
    1,
    sequence,
    0,
    round.withArgument ? [sequence] : [],
  ]);
}

function runRound(round: EchoRound): Promise<number> {
  return new Promise((resolve) => {
    const start = performance.now();
    let calls = 0;
    const send = (): void => {
      for (const link of links) {
        link.received = 0;
        // Built anew each time: a runtime cannot reuse its callers' records either.
        for (const buffer of encodeFrame(FRAME_KIND.records, callsOf(round)))
          link.socket.write(buffer);
      }
    };
    onProgress = () => {
      if (links.some((link) => link.received < round.callsPerServer)) return;
      calls += round.callsPerServer * links.length;
      const elapsedMs = performance.now() - start;
      if (elapsedMs < round.durationMs) send();
      else resolve(calls / (elapsedMs / 1000));
    };
    send();
  });
}

process.on('message', (round) => {
  void runRound(round as EchoRound).then((rate) => process.send?.(rate));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
