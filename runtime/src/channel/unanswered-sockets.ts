import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { systemClock, type Clock } from '../time/clock.ts';

const CHECK_INTERVAL_MS = 2_000;
/**
 * The kernel sends again after 0.2 s, 0.4 s, 0.8 s and so on: as many times without an answer are 13 seconds on a local
 * network, as long as keep-alive probes take.
 */
const RETRANSMISSIONS_MAX = 6;
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

/** What the kernel says of a connection. */
export interface SocketState {
  unacknowledgedBytes: number;
  /** How often in a row the oldest of them was sent again. */
  retransmissions: number;
}

interface Watched {
  bytesRead: number;
  /** Of what was written, so much has been acknowledged. */
  bytesAcknowledged: number;
}

/**
 * Gives up TCP connections whose peer acknowledges nothing any more. Keep-alive probes do not: they are sent only while
 * nothing is on the way, and what is on the way Linux sends again for a quarter of an hour (`tcp_retries2`). It has
 * an option for this, TCP_USER_TIMEOUT (RFC 5482), which Node.js does not offer. A peer that is only busy is not
 * given up, as its kernel acknowledges. Linux alone tells this.
 */
export class UnansweredSockets {
  readonly #clock: Clock;
  readonly #readStates: () => Promise<Map<string, SocketState>>;
  readonly #watched = new Map<Socket, Watched>();
  #stop: (() => void) | undefined;
  #isChecking = false;

  constructor(clock: Clock, readStates = readSocketStates) {
    this.#clock = clock;
    this.#readStates = readStates;
  }

  watch(socket: Socket): void {
    this.#watched.set(socket, { bytesRead: 0, bytesAcknowledged: 0 });
    this.#stop ??= this.#clock.every(CHECK_INTERVAL_MS, () => void this.check(), { unref: true });
    socket.once('close', () => {
      this.#watched.delete(socket);
      if (this.#watched.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
    });
  }

  async check(): Promise<void> {
    const suspects = [...this.#watched].filter(([socket, state]) => isSuspect(socket, state));
    if (suspects.length === 0 || this.#isChecking) return;
    this.#isChecking = true;
    const written = suspects.map(([socket]) => socket.bytesWritten);
    const states = await this.#readStates();
    this.#isChecking = false;
    for (const [index, [socket, watched]] of suspects.entries()) {
      const state = states.get(keyOf(socket));
      if (state === undefined || state.unacknowledgedBytes === 0)
        watched.bytesAcknowledged = written[index] ?? 0;
      else if (state.retransmissions >= RETRANSMISSIONS_MAX)
        socket.destroy(new Error(`its machine has not answered ${state.retransmissions} times`));
    }
  }
}

/** Something was written, and nothing has come since the last check. */
function isSuspect({ bytesRead, bytesWritten }: Socket, watched: Watched): boolean {
  const hasAnswered = bytesRead !== watched.bytesRead;
  watched.bytesRead = bytesRead;
  return !hasAnswered && bytesWritten > watched.bytesAcknowledged;
}

async function readSocketStates(): Promise<Map<string, SocketState>> {
  // There is no second one where IPv6 is off.
  const texts = await Promise.all(TABLES.map((file) => readFile(file, 'utf8').catch(() => '')));
  return socketStates(texts.join('\n'));
}

/** By `keyOf`. @param text of proc_pid_net(5): `/proc/net/tcp` and `tcp6`. */
export function socketStates(text: string): Map<string, SocketState> {
  const states = new Map<string, SocketState>();
  for (const line of text.split('\n')) {
    const row =
      /^ *\d+: [\dA-F]+:([\dA-F]{4}) [\dA-F]*([\dA-F]{8}):([\dA-F]{4}) \w+ ([\dA-F]+):\w+ \S+ ([\dA-F]+)/.exec(
        line,
      );
    if (row === null) continue;
    const [, localPort, remoteWord, remotePort, unacknowledged = '', retransmissions = ''] = row;
    states.set(`${localPort} ${remoteWord}:${remotePort}`, {
      unacknowledgedBytes: parseInt(unacknowledged, 16),
      retransmissions: parseInt(retransmissions, 16),
    });
  }
  return states;
}

type Ends = Pick<Socket, 'localPort' | 'remoteAddress' | 'remotePort'>;

/** Ports, and the last 32 bits of the peer's address as the kernel writes them: they tell connections of ours apart. */
export function keyOf({ localPort, remoteAddress, remotePort }: Ends): string {
  const port = (value = 0): string => hex(value, 4);
  return `${port(localPort)} ${lastWord(remoteAddress ?? '')}:${port(remotePort)}`;
}

function lastWord(address: string): string {
  const bytes = address.includes('.')
    ? address.slice(address.lastIndexOf(':') + 1).split('.')
    : ['', ...address.replace(/%.*/, '').split(':')].slice(-2).flatMap((group) => {
        const value = parseInt(group || '0', 16);
        return [value >> 8, value & 0xff];
      });
  // Least significant byte first.
  return bytes
    .toReversed()
    .map((byte) => hex(Number(byte), 2))
    .join('');
}

const hex = (value: number, digits: number): string =>
  value.toString(16).toUpperCase().padStart(digits, '0');

/** Of this process. */
export const unansweredSockets = new UnansweredSockets(systemClock);
