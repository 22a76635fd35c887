import { randomBytes } from 'node:crypto';
import { ClusterUnavailableError, ProtocolError } from '../errors/errors.ts';
import { systemClock, type Clock } from '../time/clock.ts';
import { NobodyListensError } from '../transport/nobody-listens.ts';
import type { Transport } from '../transport/transport.ts';
import type { Pipe } from './pipe.ts';

/**
 * A byte stream in both directions over NATS messages, for processes that reach each other in no other way. Every
 * message starts with a type byte; data is acknowledged in bytes, and at most a window of it is under way.
 *
 *     0 open {inbox of the caller}   1 data {u32 number, bytes}   2 acknowledge {u32 number, u32 bytes taken}
 *     3 close   4 ping {u32 number}
 *
 * Data and acknowledgements are numbered in one sequence, and a ping says which number comes next: NATS delivers one
 * sender's messages in order, so another number than expected means loss, and ends the conversation. So does silence
 * for `SILENCE_MS`; each end pings every `PING_INTERVAL_MS`. A ping is a request, with an empty answer: a peer that was
 * killed listens no more, and the server says so. So does whatever a sound peer would not send: the peer of a pipe is
 * not authenticated yet.
 */
const TYPE = { open: 0, data: 1, acknowledge: 2, close: 3, ping: 4 } as const;
/** Type and number. */
const HEADER_BYTES = 5;
const WINDOW_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;
const PING_INTERVAL_MS = 2_000;
/** Nobody listens for so many pings in a row: the peer has not only lost its connection for a moment. */
const UNHEARD_PINGS_MAX = 2;
const ANSWER = Buffer.alloc(0);
/** How often is asked, while a listener does not answer, whether it is there at all. */
const PRESENCE_INTERVAL_MS = 500;
/** Longer than any stall of an event loop that we tolerate. */
const SILENCE_MS = 60_000;

class NatsPipe implements Pipe {
  readonly #transport: Transport;
  readonly #peerSubject: string;
  readonly #release: () => void;
  readonly #clock: Clock;
  readonly #cancelPings: () => void;
  readonly #openPings = new AbortController();
  #unheardPings = 0;
  #queue: Buffer[] = [];
  /** Bytes taken by `write`, and of those the bytes handed to the transport. */
  #writtenBytes = 0;
  #passedBytes = 0;
  /** Who is to be told once so many bytes were passed on. */
  #whenPassed: { bytes: number; tell: () => void }[] = [];
  #unacknowledged = 0;
  #sent = 0;
  #received = 0;
  #owedBytes = 0;
  #lastHeard: number;
  #paused = false;
  /** Came while paused. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The peer has closed, and everything it sent has been received. */
  #peerEnded = false;
  #ended = false;
  #closed = false;
  #data: ((chunk: Buffer, isLent: boolean) => void) | undefined;
  readonly #closeListeners: ((error: Error | undefined) => void)[] = [];

  constructor(transport: Transport, peerSubject: string, release: () => void, clock: Clock) {
    this.#transport = transport;
    this.#peerSubject = peerSubject;
    this.#release = release;
    this.#clock = clock;
    this.#lastHeard = clock.now();
    this.#cancelPings = clock.every(PING_INTERVAL_MS, () => this.#keepAlive(), { unref: true });
  }

  write(buffers: readonly Buffer[], whenWritten?: () => void): void {
    if (this.#closed || this.#ended) return;
    for (const buffer of buffers) {
      for (let offset = 0; offset < buffer.length; offset += CHUNK_BYTES) {
        this.#queue.push(buffer.subarray(offset, offset + CHUNK_BYTES));
      }
      this.#writtenBytes += buffer.length;
    }
    if (whenWritten !== undefined)
      this.#whenPassed.push({ bytes: this.#writtenBytes, tell: whenWritten });
    this.#pump();
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#unacknowledged < WINDOW_BYTES) {
      const chunk = this.#queue.shift() as Buffer;
      this.#passedBytes += chunk.length;
      this.#unacknowledged += chunk.length;
      const message = this.#numbered(TYPE.data, chunk.length);
      chunk.copy(message, HEADER_BYTES);
      this.#sent = (this.#sent + 1) >>> 0;
      this.#publish(message);
    }
    if (this.#ended && this.#queue.length === 0) this.#finish(undefined, true);
    while ((this.#whenPassed[0]?.bytes ?? Infinity) <= this.#passedBytes)
      this.#whenPassed.shift()?.tell();
  }

  #numbered(type: number, bodyBytes: number): Buffer {
    const message = Buffer.allocUnsafe(HEADER_BYTES + bodyBytes);
    message[0] = type;
    message.writeUInt32LE(this.#sent, 1);
    return message;
  }

  /** A connection that is down loses the message; the numbers tell the peer. */
  #publish(message: Buffer): void {
    if (this.#transport.status === 'closed')
      this.#finish(new ClusterUnavailableError('the message bus is closed'), false);
    else this.#transport.publish(this.#peerSubject, message);
  }

  receive(message: Buffer): void {
    if (this.#closed) return;
    this.#lastHeard = this.#clock.now();
    const type = message[0];
    if (type === TYPE.close) {
      this.#peerEnded = true;
      if (this.#held.length === 0) this.#finish(undefined, false);
    } else if (this.#isExpected(message)) {
      if (type === TYPE.data) this.#receiveData(message.subarray(HEADER_BYTES));
      else if (type === TYPE.acknowledge) this.#receiveAcknowledgement(message);
      else if (type !== TYPE.ping) this.#refuse(`of type ${type}`);
    }
  }

  /** Checks the number, and counts what is counted. */
  #isExpected(message: Buffer): boolean {
    if (message.length < HEADER_BYTES) {
      this.#refuse('without its number');
      return false;
    }
    if (message.readUInt32LE(1) !== this.#received) {
      this.#finish(
        new ClusterUnavailableError('a message of the conversation over NATS was lost'),
        true,
      );
      return false;
    }
    if (message[0] !== TYPE.ping) this.#received = (this.#received + 1) >>> 0;
    return true;
  }

  #receiveAcknowledgement(message: Buffer): void {
    const takenBytes =
      message.length === HEADER_BYTES + 4 ? message.readUInt32LE(HEADER_BYTES) : Infinity;
    if (takenBytes > this.#unacknowledged) {
      this.#refuse('that acknowledges more than was sent');
      return;
    }
    this.#unacknowledged -= takenBytes;
    this.#pump();
  }

  #refuse(what: string): void {
    this.#finish(new ProtocolError(`a message ${what} came over NATS`), true);
  }

  #receiveData(chunk: Buffer): void {
    if (!this.#paused && this.#data !== undefined) {
      this.#deliver(chunk, this.#data);
      return;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > WINDOW_BYTES + CHUNK_BYTES) this.#refuse('beyond the window');
  }

  #deliver(chunk: Buffer, handler: (chunk: Buffer, isLent: boolean) => void): void {
    this.#owedBytes += chunk.length;
    if (this.#owedBytes >= WINDOW_BYTES / 8) this.#acknowledge();
    handler(chunk, false);
  }

  #acknowledge(): void {
    const message = this.#numbered(TYPE.acknowledge, 4);
    message.writeUInt32LE(this.#owedBytes, HEADER_BYTES);
    this.#sent = (this.#sent + 1) >>> 0;
    this.#owedBytes = 0;
    this.#publish(message);
  }

  #keepAlive(): void {
    if (this.#peerEnded) return;
    if (this.#clock.now() - this.#lastHeard > SILENCE_MS) {
      this.#finish(new ClusterUnavailableError(`nothing was heard for ${SILENCE_MS} ms`), true);
    } else if (this.#transport.status === 'closed') {
      this.#finish(new ClusterUnavailableError('the message bus is closed'), false);
    } else {
      void this.#ping();
    }
  }

  async #ping(): Promise<void> {
    const { signal } = this.#openPings;
    const options = { timeoutMs: PING_INTERVAL_MS, signal };
    try {
      await this.#transport.request(this.#peerSubject, this.#numbered(TYPE.ping, 0), options);
      this.#unheardPings = 0;
    } catch (error) {
      // A peer that is busy does not answer; silence is for who has been busy for very long.
      if (!(error instanceof NobodyListensError)) return;
      this.#unheardPings += 1;
      if (this.#unheardPings < UNHEARD_PINGS_MAX) return;
      this.#finish(new ClusterUnavailableError('nobody is at the other end any more'), true);
    }
  }

  #finish(error: Error | undefined, tellPeer: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelPings();
    this.#openPings.abort();
    this.#held = [];
    this.#queue = [];
    this.#whenPassed = [];
    if (tellPeer && this.#transport.status !== 'closed') {
      this.#transport.publish(this.#peerSubject, Buffer.of(TYPE.close));
    }
    this.#release();
    for (const listener of this.#closeListeners) listener(error);
  }

  onData(handler: (chunk: Buffer, isLent: boolean) => void): void {
    this.#data = handler;
    this.#deliverHeld();
  }
  onClose(listener: (error: Error | undefined) => void): void {
    this.#closeListeners.push(listener);
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    this.#deliverHeld();
  }

  #deliverHeld(): void {
    // The reader may pause again, or close, with any chunk.
    while (!this.#paused && this.#data !== undefined && this.#held.length > 0) {
      const chunk = this.#held.shift() as Buffer;
      this.#heldBytes -= chunk.length;
      this.#deliver(chunk, this.#data);
    }
    if (this.#peerEnded && this.#held.length === 0) this.#finish(undefined, false);
  }
  end(): void {
    this.#ended = true;
    this.#pump();
  }
  destroy(): void {
    this.#finish(undefined, true);
  }
  /** Its connection to the bus decides whether the process lives on, not a conversation over it. */
  unref(): void {}
}

/** Takes conversations that others open at `subject`. */
export function listenNatsPipes(
  transport: Transport,
  subject: string,
  onPipe: (pipe: Pipe) => void,
  clock: Clock = systemClock,
): { close(): void } {
  const subscription = transport.subscribe(subject, (payload, _subject, reply) => {
    const message = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    if (message[0] === TYPE.ping) reply?.(ANSWER);
    if (message[0] !== TYPE.open || reply === undefined) return;
    const peerSubject = message.toString('latin1', 1);
    if (!isInbox(peerSubject, subject)) return;
    const inbox = newInbox(subject);
    const pipe = new NatsPipe(transport, peerSubject, () => incoming.unsubscribe(), clock);
    const incoming = transport.subscribe(inbox, (data, _subject, answer) => {
      pipe.receive(copyOf(data));
      answer?.(ANSWER);
    });
    onPipe(pipe);
    reply(Buffer.from(inbox));
  });
  return { close: () => subscription.unsubscribe() };
}

export async function openNatsPipe(
  transport: Transport,
  subject: string,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<Pipe> {
  const inbox = newInbox(subject);
  let pipe: NatsPipe | undefined;
  const early: Buffer[] = [];
  const incoming = transport.subscribe(inbox, (data, _subject, answer) => {
    if (pipe === undefined) early.push(copyOf(data));
    else pipe.receive(copyOf(data));
    answer?.(ANSWER);
  });
  const presence = watchPresence(transport, subject, clock);
  try {
    const open = Buffer.concat([Buffer.of(TYPE.open), Buffer.from(inbox)]);
    const { signal } = presence;
    const peerSubject = Buffer.from(
      await transport.request(subject, open, { timeoutMs, signal }),
    ).toString();
    if (!isInbox(peerSubject, subject))
      throw new ProtocolError('the answer over NATS names no inbox');
    pipe = new NatsPipe(transport, peerSubject, () => incoming.unsubscribe(), clock);
    for (const message of early) pipe.receive(message);
    return pipe;
  } catch (error) {
    incoming.unsubscribe();
    throw error;
  } finally {
    presence.end();
  }
}

/** A listener may be killed with a request in its hands: aborts when nobody listens there any more. */
function watchPresence(
  transport: Transport,
  subject: string,
  clock: Clock,
): { signal: AbortSignal; end: () => void } {
  const absence = new AbortController();
  const asked = new AbortController();
  const ask = (): void => {
    const options = { timeoutMs: PRESENCE_INTERVAL_MS, signal: asked.signal };
    transport.request(subject, Buffer.of(TYPE.ping), options).catch((error: unknown) => {
      if (error instanceof NobodyListensError) absence.abort(error);
    });
  };
  const cancel = clock.every(PRESENCE_INTERVAL_MS, ask, { unref: true });
  const end = (): void => {
    cancel();
    asked.abort();
  };
  return { signal: absence.signal, end };
}

const newInbox = (subject: string): string => `${subject}.pipe.${randomBytes(9).toString('hex')}`;
/** Nobody can make this process speak to other subjects than inboxes. */
const isInbox = (inbox: string, subject: string): boolean =>
  inbox.startsWith(`${subject}.pipe.`) &&
  /^[0-9a-f]{18}$/.test(inbox.slice(`${subject}.pipe.`.length));
/** The transport may reuse its receive buffer; decoded values keep views of ours. */
const copyOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
