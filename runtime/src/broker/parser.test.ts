import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Parser, type ParserEvents, type ParserFailure } from './parser.ts';

type Call = [name: string, ...details: unknown[]];

interface Recorded {
  calls: Call[];
  failure: ParserFailure | undefined;
}

const LIMITS = { controlLineBytes: 64, payloadBytes: 100 };

function parse(chunks: Uint8Array[], options = { connectOnly: false }): Recorded {
  const calls: Call[] = [];
  const record =
    (name: string) =>
    (...details: unknown[]): void => {
      calls.push([
        name,
        ...details.map((detail) => (Buffer.isBuffer(detail) ? detail.toString('latin1') : detail)),
      ]);
    };
  const events: ParserEvents = {
    connect: record('connect'),
    ping: record('ping'),
    pong: record('pong'),
    subscribe: record('subscribe'),
    unsubscribe: record('unsubscribe'),
    publish: record('publish'),
  };
  const parser = new Parser(events, LIMITS, options);
  let failure: ParserFailure | undefined;
  for (const chunk of chunks) failure = parser.push(Buffer.from(chunk));
  return { calls, failure };
}

const parseText = (text: string): Recorded => parse([Buffer.from(text, 'latin1')]);

/** The bytes, cut at the given places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const cuts = [
    0,
    ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b),
    bytes.length,
  ];
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
}

const token = fc.stringMatching(/^[a-zA-Z0-9_.*>-]{1,12}$/);
const payload = fc
  .uint8Array({ maxLength: 80 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));

/** A valid operation: its bytes and the call it must lead to. */
const operation: fc.Arbitrary<{ bytes: string; call: Call }> = fc.oneof(
  fc.constant({ bytes: 'PING\r\n', call: ['ping'] as Call }),
  fc.constant({ bytes: 'pong\n', call: ['pong'] as Call }),
  fc.record({ json: fc.stringMatching(/^[a-z0-9 ]{0,20}$/) }).map(({ json }) => ({
    bytes: `CONNECT {${json}}\r\n`,
    call: ['connect', ` {${json}}`] as Call,
  })),
  fc.tuple(token, fc.option(token, { nil: undefined }), token).map(([subject, queue, id]) => ({
    bytes: `SUB ${subject}${queue === undefined ? '' : `\t${queue}`}  ${id}\r\n`,
    call: ['subscribe', subject, queue, id] as Call,
  })),
  fc.tuple(token, fc.option(fc.nat(999), { nil: undefined })).map(([id, max]) => ({
    bytes: max === undefined ? `UNSUB ${id}\r\n` : `UNSUB ${id} ${max}\r\n`,
    call: ['unsubscribe', id, max] as Call,
  })),
  fc.tuple(token, fc.option(token, { nil: undefined }), payload).map(([subject, reply, body]) => ({
    bytes: `PUB ${subject} ${reply === undefined ? '' : `${reply} `}${body.length}\r\n${body}\r\n`,
    call: ['publish', subject, reply, 0, body] as Call,
  })),
  fc
    .tuple(token, fc.option(token, { nil: undefined }), payload, fc.nat(80))
    .map(([subject, reply, body, cutAt]) => {
      const headerBytes = Math.min(cutAt, body.length);
      const to = reply === undefined ? subject : `${subject} ${reply}`;
      return {
        bytes: `HPUB ${to} ${headerBytes} ${body.length}\r\n${body}\r\n`,
        call: ['publish', subject, reply, headerBytes, body] as Call,
      };
    }),
);

describe('Parser', () => {
  it('reads any sequence of operations, however it is cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (operations, places) => {
          const bytes = Buffer.from(operations.map((each) => each.bytes).join(''), 'latin1');
          const result = parse(cut(bytes, places));
          expect(result.failure).toBeUndefined();
          expect(result.calls).toEqual(operations.map((each) => each.call));
        },
      ),
    );
  });

  it('says the same of arbitrary bytes whether they come at once or byte by byte', () => {
    const nearlyValid = fc
      .tuple(
        fc.array(operation, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      )
      .map(([operations, changes]) => {
        const bytes = Buffer.from(operations.map((each) => each.bytes).join(''), 'latin1');
        for (const [place, value] of changes) bytes[place % bytes.length] = value;
        return bytes;
      });
    const anything = fc.oneof(fc.uint8Array({ maxLength: 300 }), nearlyValid);
    fc.assert(
      fc.property(anything, (bytes) => {
        const whole = parse([bytes]);
        const single = parse([...bytes].map((byte) => Uint8Array.of(byte)));
        expect(single).toEqual(whole);
      }),
    );
  });

  it('ignores everything after a failure', () => {
    const result = parse([Buffer.from('PING\r\nNONSENSE\r\nPING\r\n'), Buffer.from('PING\r\n')]);
    expect(result).toEqual({ calls: [['ping']], failure: 'unknown-operation' });
  });

  it.each<[string, ParserFailure]>([
    ['PINGS\r\n', 'unknown-operation'],
    ['\r\n', 'unknown-operation'],
    [' PING\r\n', 'unknown-operation'],
    ['MSG a 1 0\r\n\r\n', 'unknown-operation'],
    ['PUB\r\n', 'malformed'],
    ['PUB a\r\n', 'malformed'],
    ['PUB a b c 1\r\n', 'malformed'],
    ['PUB a 1e1\r\n', 'malformed'],
    ['PUB a 9999999999\r\n', 'malformed'],
    ['PUB a 101\r\n', 'payload-too-large'],
    ['PUB a 999999999\r\n', 'payload-too-large'],
    ['PUB a 1\r\nxx\r\n', 'malformed'],
    ['PUB a 1\r\nx\n\r', 'malformed'],
    ['PUB a 1\r\nxx\n', 'malformed'],
    ['PUB a 1\r\nx\rx', 'malformed'],
    ['HPUB a 1\r\n', 'malformed'],
    ['HPUB a 2 1\r\nx\r\n', 'malformed'],
    ['SUB a\r\n', 'malformed'],
    ['SUB a b c d\r\n', 'malformed'],
    ['UNSUB\r\n', 'malformed'],
    ['UNSUB 1 x\r\n', 'malformed'],
    ['UNSUB 1 2 3\r\n', 'malformed'],
    [`SUB ${'a'.repeat(59)} 1\r\n`, 'control-line-too-long'],
    ['x'.repeat(66), 'control-line-too-long'],
  ])('%j fails: %s', (text, failure) => {
    expect(parseText(text)).toEqual({ calls: [], failure });
  });

  it('takes a control line of exactly the limit', () => {
    const subject = 'a'.repeat(LIMITS.controlLineBytes - 'SUB  1'.length);
    expect(parseText(`SUB ${subject} 1\r\n`).failure).toBeUndefined();
  });

  it('takes nothing but CONNECT while that is asked for', () => {
    expect(parse([Buffer.from('PING\r\n')], { connectOnly: true }).failure).toBe(
      'connect-expected',
    );
    expect(parse([Buffer.from('PUB a 100\r\n')], { connectOnly: true }).failure).toBe(
      'connect-expected',
    );
    expect(parse([Buffer.from('CONNECT {}\r\n')], { connectOnly: true }).calls).toEqual([
      ['connect', ' {}'],
    ]);
  });

  it('does not copy a payload that came whole', () => {
    const chunk = Buffer.from('PUB a 3\r\nabc\r\n');
    const seen: Buffer[] = [];
    const ignore = (): void => {};
    const events = {
      connect: ignore,
      ping: ignore,
      pong: ignore,
      subscribe: ignore,
      unsubscribe: ignore,
    };
    const publish: ParserEvents['publish'] = (_subject, _reply, _headerBytes, body) =>
      void seen.push(body);
    new Parser({ ...events, publish }, LIMITS, { connectOnly: false }).push(chunk);
    expect(seen[0]?.buffer).toBe(chunk.buffer);
    expect(seen[0]?.toString()).toBe('abc');
  });
});
