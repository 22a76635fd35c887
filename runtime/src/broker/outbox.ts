/**
 * What is to be written to one client, joined so that a turn of the event loop costs one system call: small pieces are
 * copied into one buffer, large payloads are passed on as they are.
 */
export class Outbox {
  #pieces: (string | Buffer)[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** `text` is a byte string: one character per byte. */
  text(text: string): void {
    this.#pieces.push(text);
    this.#bytes += text.length;
  }

  message(controlLine: string, payload: Buffer): void {
    this.#pieces.push(controlLine, payload, CRLF);
    this.#bytes += controlLine.length + payload.length + 2;
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }

  /** Everything queued so far, in order; the outbox is empty afterwards. */
  take(): Buffer[] {
    const pieces = this.#pieces;
    const bytes = this.#bytes;
    this.clear();
    if (bytes <= JOIN_BYTES) return [join(pieces, 0, pieces.length, bytes)];
    return joinAroundLargePieces(pieces);
  }
}

const CRLF = '\r\n';
const JOIN_BYTES = 64 * 1024;
/** Passing a view on keeps the whole chunk it was read from (64 KiB) alive, so only views of half of it are worth it. */
const BY_REFERENCE_BYTES = 32 * 1024;

function joinAroundLargePieces(pieces: (string | Buffer)[]): Buffer[] {
  const chunks: Buffer[] = [];
  let runStart = 0;
  let runBytes = 0;
  for (const [index, piece] of pieces.entries()) {
    const large = typeof piece !== 'string' && piece.length >= BY_REFERENCE_BYTES;
    if (!large) {
      runBytes += piece.length;
      continue;
    }
    if (runBytes > 0) chunks.push(join(pieces, runStart, index, runBytes));
    chunks.push(piece);
    runStart = index + 1;
    runBytes = 0;
  }
  if (runBytes > 0) chunks.push(join(pieces, runStart, pieces.length, runBytes));
  return chunks;
}

function join(pieces: (string | Buffer)[], start: number, end: number, bytes: number): Buffer {
  const joined = Buffer.allocUnsafe(bytes);
  let offset = 0;
  for (let index = start; index < end; index++) {
    const piece = pieces[index] as string | Buffer;
    offset +=
      typeof piece === 'string'
        ? joined.write(piece, offset, 'latin1')
        : piece.copy(joined, offset);
  }
  return joined;
}
