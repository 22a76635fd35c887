import { randomBytes } from 'node:crypto';
import { ClusterUnavailableError } from '../errors/errors.ts';
import type { Transport } from '../transport/transport.ts';
import type { Pipe } from './pipe.ts';

/**
 * A byte stream in both directions over NATS messages, for processes that reach each other in no other way. Every
 * message starts with a type byte; data is numbered, acknowledged in bytes, and at most a window of it is under way.
 *
 *     0 open {inbox of the caller}   1 data {u32 number, bytes}   2 acknowledge {u32 bytes taken}   3 close   4 ping
 *
 * Each end pings when it has nothing to send; silence for `SILENCE_MS` ends the conversation. NATS delivers one
 * sender's messages in order, so a gap in the numbers means loss, and ends it too.
 */
const TYPE = { open: 0, data: 1, acknowledge: 2, close: 3, ping: 4 } as const;
const WINDOW_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;
const PING_INTERVAL_MS = 10_000;
/** Longer than any stall of an event loop that we tolerate. */
const SILENCE_MS = 60_000;

class NatsPipe implements Pipe {
  readonly #transport: Transport;
  readonly #peerSubject: string;
  readonly #release: () => void;
  readonly #pings: NodeJS.Timeout;
  #queue: Buffer[] = [];
  queuedBytes = 0;
  #unacknowledged = 0;
  #sent = 0;
  #received = 0;
  #owedBytes = 0;
  #lastHeard = Date.now();
  #paused = false;
  #held: Buffer[] = [];
  #ended = false;
  #closed = false;
  #data: ((chunk: Buffer) => void) | undefined;
  readonly #closeListeners: ((error: Error | undefined) => void)[] = [];

  constructor(transport: Transport, peerSubject: string, release: () => void) {
    this.#transport = transport;
    this.#peerSubject = peerSubject;
    this.#release = release;
    this.#pings = setInterval(() => this.#keepAlive(), PING_INTERVAL_MS);
  }

  write(buffers: readonly Buffer[]): void {
    if (this.#closed || this.#ended) return;
    for (const buffer of buffers) {
      for (let offset = 0; offset < buffer.length; offset += CHUNK_BYTES) {
        this.#queue.push(buffer.subarray(offset, offset + CHUNK_BYTES));
      }
      this.queuedBytes += buffer.length;
    }
    this.#pump();
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#unacknowledged < WINDOW_BYTES) {
      const chunk = this.#queue.shift() as Buffer;
      this.queuedBytes -= chunk.length;
      this.#unacknowledged += chunk.length;
      const message = Buffer.allocUnsafe(5 + chunk.length);
      message[0] = TYPE.data;
      message.writeUInt32LE(this.#sent, 1);
      this.#sent = (this.#sent + 1) >>> 0;
      chunk.copy(message, 5);
      this.#transport.publish(this.#peerSubject, message);
    }
    if (this.#ended && this.#queue.length === 0) this.#finish(undefined, true);
  }

  receive(message: Buffer): void {
    if (this.#closed) return;
    this.#lastHeard = Date.now();
    switch (message[0]) {
      case TYPE.data:
        this.#receiveData(message);
        break;
      case TYPE.acknowledge:
        this.#unacknowledged -= message.readUInt32LE(1);
        this.#pump();
        break;
      case TYPE.close:
        this.#finish(undefined, false);
        break;
      default:
    }
  }

  #receiveData(message: Buffer): void {
    if (message.readUInt32LE(1) !== this.#received) {
      this.#finish(new ClusterUnavailableError('a message of the conversation over NATS was lost'), true);
      return;
    }
    this.#received = (this.#received + 1) >>> 0;
    const chunk = message.subarray(5);
    if (this.#paused) this.#held.push(chunk);
    else this.#deliver(chunk);
  }

  #deliver(chunk: Buffer): void {
    this.#owedBytes += chunk.length;
    if (this.#owedBytes >= WINDOW_BYTES / 8) this.#acknowledge();
    this.#data?.(chunk);
  }

  #acknowledge(): void {
    const message = Buffer.allocUnsafe(5);
    message[0] = TYPE.acknowledge;
    message.writeUInt32LE(this.#owedBytes, 1);
    this.#owedBytes = 0;
    this.#transport.publish(this.#peerSubject, message);
  }

  #keepAlive(): void {
    if (Date.now() - this.#lastHeard > SILENCE_MS) {
      this.#finish(new ClusterUnavailableError(`nothing was heard for ${SILENCE_MS} ms`), true);
    } else {
      this.#transport.publish(this.#peerSubject, Buffer.of(TYPE.ping));
    }
  }

  #finish(error: Error | undefined, tellPeer: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pings);
    if (tellPeer) this.#transport.publish(this.#peerSubject, Buffer.of(TYPE.close));
    this.#release();
    for (const listener of this.#closeListeners) listener(error);
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#data = handler;
  }
  onClose(listener: (error: Error | undefined) => void): void {
    this.#closeListeners.push(listener);
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#deliver(chunk);
  }
  end(): void {
    this.#ended = true;
    this.#pump();
  }
  destroy(): void {
    this.#finish(undefined, true);
  }
  ref(): void {
    this.#pings.ref();
  }
  unref(): void {
    this.#pings.unref();
  }
}

/** Takes conversations that others open at `subject`. */
export function listenNatsPipes(transport: Transport, subject: string, onPipe: (pipe: Pipe) => void): { close(): void } {
  const subscription = transport.subscribe(subject, (payload, _subject, reply) => {
    const message = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    if (message[0] !== TYPE.open || reply === undefined) return;
    const inbox = newInbox(subject);
    const pipe = new NatsPipe(transport, message.toString('utf8', 1), () => incoming.unsubscribe());
    const incoming = transport.subscribe(inbox, (data) => pipe.receive(copyOf(data)));
    onPipe(pipe);
    reply(Buffer.from(inbox));
  });
  return { close: () => subscription.unsubscribe() };
}

export async function openNatsPipe(transport: Transport, subject: string, timeoutMs: number): Promise<Pipe> {
  const inbox = newInbox(subject);
  let pipe: NatsPipe | undefined;
  const early: Buffer[] = [];
  const incoming = transport.subscribe(inbox, (data) => {
    if (pipe === undefined) early.push(copyOf(data));
    else pipe.receive(copyOf(data));
  });
  try {
    const open = Buffer.concat([Buffer.of(TYPE.open), Buffer.from(inbox)]);
    const peerSubject = Buffer.from(await transport.request(subject, open, { timeoutMs })).toString();
    pipe = new NatsPipe(transport, peerSubject, () => incoming.unsubscribe());
    for (const message of early) pipe.receive(message);
    return pipe;
  } catch (error) {
    incoming.unsubscribe();
    throw error;
  }
}

const newInbox = (subject: string): string => `${subject}.pipe.${randomBytes(9).toString('hex')}`;
/** The transport may reuse its receive buffer; decoded values keep views of ours. */
const copyOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
