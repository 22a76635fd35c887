import { once } from 'node:events';
import { connect, createServer, Socket, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../testing/manual-clock.ts';
import { keyOf, socketStates, UnansweredSockets, type SocketState } from './unanswered-sockets.ts';

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0500000A:A1B2 0600000A:1F90 01 0000012C:00000000 01:00000123 00000007     0        0 2 3 0 20 4 30 10 -1
   2: 0000000000000000FFFF00000500000A:1F90 0000000000000000FFFF00000700000A:C001 01 00000000:00000000 00:00000000 00000000 0 0 3`;

describe('the states of sockets', () => {
  it('are read as the kernel writes them', () => {
    const states = socketStates(TABLE);
    const ofClient = { localPort: 0xa1b2, remoteAddress: '10.0.0.6', remotePort: 0x1f90 };
    expect(states.get(keyOf(ofClient))).toEqual({ unacknowledgedBytes: 300, retransmissions: 7 });
    const ofServer = { localPort: 0x1f90, remoteAddress: '::ffff:10.0.0.7', remotePort: 0xc001 };
    expect(states.get(keyOf(ofServer))).toEqual({ unacknowledgedBytes: 0, retransmissions: 0 });
  });

  it.each([
    ['2001:db8::a0b:c0d', '0D0C0B0A'],
    ['fe80::1%eth0', '01000000'],
    ['::1', '01000000'],
    ['::', '00000000'],
  ])('are found for %s', (remoteAddress, word) => {
    expect(keyOf({ localPort: 1, remoteAddress, remotePort: 2 })).toBe(`0001 ${word}:0002`);
  });

  it.runIf(process.platform === 'linux')('are found for a connection of this process', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    const { readFileSync } = await import('node:fs');
    expect(socketStates(readFileSync('/proc/self/net/tcp', 'utf8')).has(keyOf(socket))).toBe(true);
    socket.destroy();
    server.close();
  });
});

/** With a socket that has read and written what `counts` says. */
function watching(state: SocketState) {
  const socket = new Socket();
  socket.on('error', () => undefined);
  const counts = { read: 0, written: 0 };
  Object.defineProperties(socket, {
    bytesRead: { get: () => counts.read },
    bytesWritten: { get: () => counts.written },
  });
  let looks = 0;
  const sockets = new UnansweredSockets(new ManualClock(), async () => {
    looks += 1;
    return new Map([[keyOf(socket), state]]);
  });
  sockets.watch(socket);
  return { socket, counts, sockets, looks: () => looks };
}

describe('a connection', () => {
  it('is given up when what was written is not acknowledged', async () => {
    const state = { unacknowledgedBytes: 5, retransmissions: 5 };
    const { socket, counts, sockets } = watching(state);
    counts.written = 5;
    await sockets.check();
    expect(socket.destroyed).toBe(false);
    state.retransmissions = 6;
    await sockets.check();
    expect(socket.destroyed).toBe(true);
  });

  it('is not looked at while its peer answers, or has acknowledged all', async () => {
    const { socket, counts, sockets, looks } = watching({
      unacknowledgedBytes: 0,
      retransmissions: 0,
    });
    await sockets.check();
    for (const read of [1, 2, 3]) {
      [counts.written, counts.read] = [10 * read, read];
      await sockets.check();
    }
    expect(looks()).toBe(0);
    await sockets.check();
    await sockets.check();
    expect(looks()).toBe(1);
    expect(socket.destroyed).toBe(false);
  });

  it('is given up for what was written right after its peer had answered', async () => {
    const { socket, counts, sockets } = watching({ unacknowledgedBytes: 5, retransmissions: 6 });
    [counts.written, counts.read] = [15, 10];
    await sockets.check();
    await sockets.check();
    expect(socket.destroyed).toBe(true);
  });

  it('whose peer is only busy is kept: its kernel acknowledges', async () => {
    const { socket, counts, sockets } = watching({
      unacknowledgedBytes: 1_000,
      retransmissions: 0,
    });
    counts.written = 1_000;
    for (let check = 0; check < 20; check += 1) await sockets.check();
    expect(socket.destroyed).toBe(false);
  });
});
