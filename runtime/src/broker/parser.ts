/**
 * The server's half of the NATS client protocol as a pure state machine: bytes in, calls out, no I/O.
 *
 * ```
 *            a whole line: CONNECT PING PONG SUB UNSUB
 *               ┌────────┐
 *               ▼        │(1)
 *   start ──► LINE ──────┘
 *              │ ▲
 *   (2) PUB or │ │ (3) payload and its CRLF are complete
 *      HPUB    ▼ │
 *             PAYLOAD ──┐ (4) more bytes
 *                 ▲─────┘
 *   LINE, PAYLOAD ──(5) anything wrong──► FAILED (final)
 * ```
 *
 * Protocol facts: operations are case-insensitive; fields are separated by blanks or tabs; a control line ends with LF,
 * the CR before it may be missing; after a payload CRLF is required. Subjects are UTF-8 on the wire; here they are
 * *byte strings* (one character per byte, latin1), which costs nothing to make, compares right and is written back
 * unchanged.
 */
export interface ParserEvents {
  connect(json: string): void;
  ping(): void;
  pong(): void;
  subscribe(subject: string, queue: string | undefined, subscriptionId: string): void;
  unsubscribe(subscriptionId: string, maxMessages: number | undefined): void;
  /** The first `headerBytes` of `payload` are the headers. `payload` may be a view of the chunk that was pushed. */
  publish(subject: string, reply: string | undefined, headerBytes: number, payload: Buffer): void;
}

export type ParserFailure =
  | 'unknown-operation'
  | 'malformed'
  | 'control-line-too-long'
  | 'payload-too-large'
  /** `connectOnly` is set and the client sent something else than CONNECT. */
  | 'connect-expected';

export interface ParserLimits {
  /** Longest control line, without its CRLF. */
  controlLineBytes: number;
  payloadBytes: number;
}

const LF = 10;
const CR = 13;
const BLANK = 32;
const TAB = 9;
const MAX_FIELDS = 4;
const MAX_DIGITS = 9;
const EMPTY = Buffer.alloc(0);

export class Parser {
  /** Until the client has authenticated, nothing but CONNECT is accepted, so nothing large is ever read. */
  connectOnly: boolean;
  readonly #events: ParserEvents;
  readonly #limits: ParserLimits;
  #failure: ParserFailure | undefined;
  #stopped = false;
  /** The beginning of a line whose end has not come yet. */
  #partialLine: Buffer = EMPTY;
  /** Room for payload and CRLF of the message under way, when they did not come in one chunk. */
  #body: Buffer | undefined;
  #bodyFilled = 0;
  #subject = '';
  #reply: string | undefined;
  #headerBytes = 0;
  /** -1: no message under way. */
  #payloadBytes = -1;
  /** Fields of the line at hand: [start0, end0, start1, …]. */
  readonly #fields = new Int32Array((MAX_FIELDS + 1) * 2);

  constructor(events: ParserEvents, limits: ParserLimits, options: { connectOnly: boolean }) {
    this.#events = events;
    this.#limits = limits;
    this.connectOnly = options.connectOnly;
  }

  /** Ignores everything from here on, also the rest of the chunk at hand. */
  stop(): void {
    this.#stopped = true;
    this.#partialLine = EMPTY;
    this.#body = undefined;
  }

  /** The failure is final: later chunks are ignored and the same failure is returned. */
  push(chunk: Buffer): ParserFailure | undefined {
    let offset = 0;
    while (offset < chunk.length && !this.#stopped) {
      offset =
        this.#payloadBytes >= 0 ? this.#readBody(chunk, offset) : this.#readLine(chunk, offset);
    }
    return this.#failure;
  }

  #fail(failure: ParserFailure): void {
    this.#failure = failure;
    this.stop();
  }

  #readLine(chunk: Buffer, offset: number): number {
    const lineEnd = chunk.indexOf(LF, offset);
    const end = lineEnd < 0 ? chunk.length : lineEnd;
    const length = this.#partialLine.length + end - offset;
    // One byte more than the limit, because the CR before the LF is not counted.
    if (length > this.#limits.controlLineBytes + 1) {
      this.#fail('control-line-too-long');
      return chunk.length;
    }
    if (lineEnd < 0) {
      this.#partialLine = Buffer.concat([this.#partialLine, chunk.subarray(offset)]);
      return chunk.length;
    }
    if (this.#partialLine.length > 0) {
      const line = Buffer.concat([this.#partialLine, chunk.subarray(offset, end)]);
      this.#partialLine = EMPTY;
      this.#line(line, 0, line.length);
    } else {
      this.#line(chunk, offset, end);
    }
    return end + 1;
  }

  #line(buffer: Buffer, start: number, lineEnd: number): void {
    const end = lineEnd > start && buffer[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    const operation = operationAt(buffer, start, end);
    if (operation === undefined) return this.#fail('unknown-operation');
    if (this.connectOnly && operation !== 'CONNECT') return this.#fail('connect-expected');
    this.#run(operation, buffer, start + operation.length, end);
  }

  #run(name: OperationName, buffer: Buffer, start: number, end: number): void {
    switch (name) {
      case 'PUB':
        return this.#startPublish(buffer, start, end, false);
      case 'HPUB':
        return this.#startPublish(buffer, start, end, true);
      case 'SUB':
        return this.#subscribe(buffer, start, end);
      case 'UNSUB':
        return this.#unsubscribe(buffer, start, end);
      case 'PING':
        return this.#events.ping();
      case 'PONG':
        return this.#events.pong();
      case 'CONNECT':
        return this.#events.connect(buffer.toString('utf8', start, end));
      case '+OK':
      case '-ERR':
        // A client in verbose mode of its own may say these; they mean nothing to a server.
        return;
    }
  }

  #startPublish(buffer: Buffer, start: number, end: number, withHeaders: boolean): void {
    const count = this.#split(buffer, start, end);
    const required = withHeaders ? 3 : 2;
    if (count !== required && count !== required + 1) return this.#fail('malformed');
    const total = this.#number(buffer, count - 1);
    const headerBytes = withHeaders ? this.#number(buffer, count - 2) : 0;
    if (total === undefined || headerBytes === undefined || headerBytes > total)
      return this.#fail('malformed');
    if (total > this.#limits.payloadBytes) return this.#fail('payload-too-large');
    this.#subject = this.#text(buffer, 0);
    this.#reply = count > required ? this.#text(buffer, 1) : undefined;
    this.#headerBytes = headerBytes;
    this.#payloadBytes = total;
  }

  #subscribe(buffer: Buffer, start: number, end: number): void {
    const count = this.#split(buffer, start, end);
    if (count === 2)
      this.#events.subscribe(this.#text(buffer, 0), undefined, this.#text(buffer, 1));
    else if (count === 3)
      this.#events.subscribe(this.#text(buffer, 0), this.#text(buffer, 1), this.#text(buffer, 2));
    else this.#fail('malformed');
  }

  #unsubscribe(buffer: Buffer, start: number, end: number): void {
    const count = this.#split(buffer, start, end);
    const maxMessages = count === 2 ? this.#number(buffer, 1) : undefined;
    if (count < 1 || count > 2 || (count === 2 && maxMessages === undefined))
      return this.#fail('malformed');
    this.#events.unsubscribe(this.#text(buffer, 0), maxMessages);
  }

  #readBody(chunk: Buffer, offset: number): number {
    const needed = this.#payloadBytes + 2;
    if (this.#body === undefined && chunk.length - offset >= needed) {
      this.#finishMessage(chunk, offset);
      return offset + needed;
    }
    this.#body ??= Buffer.allocUnsafeSlow(needed);
    const copied = chunk.copy(
      this.#body,
      this.#bodyFilled,
      offset,
      offset + needed - this.#bodyFilled,
    );
    this.#bodyFilled += copied;
    if (this.#bodyFilled === needed) {
      const body = this.#body;
      this.#body = undefined;
      this.#bodyFilled = 0;
      this.#finishMessage(body, 0);
    }
    return offset + copied;
  }

  #finishMessage(buffer: Buffer, start: number): void {
    const end = start + this.#payloadBytes;
    this.#payloadBytes = -1;
    if (buffer[end] !== CR || buffer[end + 1] !== LF) return this.#fail('malformed');
    this.#events.publish(
      this.#subject,
      this.#reply,
      this.#headerBytes,
      buffer.subarray(start, end),
    );
  }

  /** Finds the fields of the line and returns how many there are; more than any operation has are counted as one more. */
  #split(buffer: Buffer, start: number, end: number): number {
    let count = 0;
    let position = start;
    while (count <= MAX_FIELDS) {
      while (position < end && isBlank(buffer[position])) position++;
      if (position === end) break;
      this.#fields[count * 2] = position;
      while (position < end && !isBlank(buffer[position])) position++;
      this.#fields[count * 2 + 1] = position;
      count++;
    }
    return count;
  }

  #text(buffer: Buffer, field: number): string {
    return buffer.toString('latin1', this.#fields[field * 2], this.#fields[field * 2 + 1]);
  }

  #number(buffer: Buffer, field: number): number | undefined {
    const start = this.#fields[field * 2] ?? 0;
    const end = this.#fields[field * 2 + 1] ?? 0;
    if (end - start > MAX_DIGITS) return undefined;
    let value = 0;
    for (let position = start; position < end; position++) {
      const digit = (buffer[position] ?? 0) - 48;
      if (digit < 0 || digit > 9) return undefined;
      value = value * 10 + digit;
    }
    return value;
  }
}

const OPERATIONS = [
  'PUB',
  'HPUB',
  'SUB',
  'UNSUB',
  'PING',
  'PONG',
  'CONNECT',
  '+OK',
  '-ERR',
] as const;
type OperationName = (typeof OPERATIONS)[number];

const OPERATION_CODES = OPERATIONS.map((operation) => [...Buffer.from(operation)]);

function operationAt(buffer: Buffer, start: number, end: number): OperationName | undefined {
  for (const [index, codes] of OPERATION_CODES.entries()) {
    if (!startsWith(buffer, start, end, codes)) continue;
    const operation = OPERATIONS[index];
    const after = start + codes.length;
    return after === end || isBlank(buffer[after]) ? operation : undefined;
  }
  return undefined;
}

function startsWith(buffer: Buffer, start: number, end: number, codes: readonly number[]): boolean {
  if (start + codes.length > end) return false;
  for (let index = 0; index < codes.length; index++) {
    const byte = buffer[start + index] ?? 0;
    // Letters are compared in upper case.
    if ((byte >= 97 && byte <= 122 ? byte - 32 : byte) !== codes[index]) return false;
  }
  return true;
}

function isBlank(byte: number | undefined): boolean {
  return byte === BLANK || byte === TAB;
}
