import fc from 'fast-check';
import { Packr } from 'msgpackr';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';
import { ActorHoldReply, ActorKill } from '../wire/actor-messages.ts';
import { Heartbeat, NodeEvent, PROTOCOL_VERSION } from '../wire/messages.ts';
import { decodeControl, encodeControl } from './control-codec.ts';

const anything = v.unknown();
const versioned = (...bytes: number[]): Uint8Array => Buffer.of(PROTOCOL_VERSION, ...bytes);
const heartbeat = { nodeId: 'n_0123456789abcdef', sessionId: 's', sequence: 7 };

function failureOf(decode: () => unknown): unknown {
  try {
    decode();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('control messages', () => {
  it('round trip', () => {
    expect(decodeControl(Heartbeat, encodeControl(heartbeat))).toEqual(heartbeat);
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (message) => {
        const text = JSON.stringify(message);
        if (text.includes('__proto__')) return;
        expect(JSON.stringify(decodeControl(anything, encodeControl(message)))).toBe(text);
      }),
    );
  });

  it('carry bytes, undefined in arrays and objects of any size', () => {
    const event = {
      type: 'actor-ended',
      actorId: 'a_0123456789abcdef',
      incarnation: 0,
      cause: { kind: 'killed', message: 'k' },
      encodedError: Uint8Array.of(1, 2, 3),
    };
    const decoded = decodeControl(NodeEvent, encodeControl(event)) as typeof event;
    expect([...decoded.encodedError]).toEqual([1, 2, 3]);
    expect(decodeControl(ActorHoldReply, encodeControl({ actors: [undefined] }))).toEqual({
      actors: [undefined],
    });
    const wide = Object.fromEntries(
      Array.from({ length: 70_000 }, (_, index) => [`k${index}`, index]),
    );
    expect(decodeControl(v.record(v.string(), v.number()), encodeControl(wide))).toEqual(wide);
  });

  it('are standard MessagePack behind the version byte, without undefined fields', () => {
    const bytes = encodeControl({ a: 1, gone: undefined, b: [true, null, 'é'] });
    expect(Buffer.from(bytes).toString('hex')).toBe('0182a16101a16293c3c0a2c3a9');
    expect(new Packr({ useRecords: false }).unpack(bytes.subarray(1))).toEqual({
      a: 1,
      b: [true, null, 'é'],
    });
  });

  it('lose fields that the schema does not know', () => {
    const newer = { ...heartbeat, load: { deep: [1] } };
    expect(decodeControl(Heartbeat, encodeControl(newer))).toEqual(heartbeat);
  });

  it('are refused with the path of the wrong field', () => {
    const wrong = encodeControl({
      type: 'actor-started',
      actor: { ...heartbeat, incarnation: -1 },
    });
    expect(() => decodeControl(NodeEvent, wrong)).toThrow(
      /refused at actor\.actorId: .*not a actor id|refused at actor\.actorId/,
    );
    expect(() => decodeControl(ActorKill, encodeControl([]))).toThrow(ProtocolError);
    expect(() =>
      decodeControl(ActorKill, encodeControl({ actorId: 'n_0123456789abcdef' })),
    ).toThrow(/at actorId/);
  });

  it('of another version are refused with both versions', () => {
    const bytes = encodeControl(heartbeat);
    bytes[0] = 9;
    expect(() => decodeControl(Heartbeat, bytes)).toThrow(
      `protocol version 9; this process speaks ${PROTOCOL_VERSION}`,
    );
    expect(() => decodeControl(Heartbeat, new Uint8Array(0))).toThrow(/empty control message/);
  });

  it('have a size limit on both sides', () => {
    const large = { text: 'x'.repeat(LIMITS.controlMessageBytes) };
    expect(() => encodeControl(large)).toThrow(ProtocolError);
    expect(() => decodeControl(anything, new Uint8Array(LIMITS.controlMessageBytes + 1))).toThrow(
      /the limit is/,
    );
  });

  it('have a depth limit, however deep they are', () => {
    for (const levels of [LIMITS.controlDepth + 1, 1_000, LIMITS.controlMessageBytes - 1]) {
      const bytes = Buffer.concat([versioned(), Buffer.alloc(levels, 0x91)]);
      expect(() => decodeControl(anything, bytes)).toThrow(ProtocolError);
    }
    let message: unknown = 1;
    for (let level = 0; level < LIMITS.controlDepth; level++) message = [message];
    expect(decodeControl(anything, encodeControl(message))).toEqual(message);
    expect(() => decodeControl(anything, encodeControl([message]))).toThrow(
      /nested deeper than 32 levels/,
    );
  });

  it('may not declare more than they hold, nor extensions, nor trailing bytes', () => {
    const refused: number[][] = [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0xff, 0xff, 0xff],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
      [0xda, 0x00, 0x05, 0x61],
      [0xcb, 0x00],
      [0xc1],
      [0xd4, 0x72, 0x40],
      [0xd4, 0x00],
      [0xd6, 0x70, 0, 0, 0, 1],
      [0xc7, 0x01, 0x42, 0x01],
      [0xc0, 0xc0],
      [],
    ];
    for (const bytes of refused) {
      expect(() => decodeControl(anything, versioned(...bytes))).toThrow(
        /malformed message at byte/,
      );
    }
  });

  it('made of random or changed bytes are refused with a ProtocolError or read', () => {
    const original = encodeControl({
      ...heartbeat,
      list: [1, 2.5, 'x', null, { a: Uint8Array.of(1) }],
    });
    const change = fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 }));
    const changed = fc.array(change, { maxLength: 5 }).map((changes) => {
      const bytes = Buffer.from(original);
      for (const [position, byte] of changes) bytes[position] = byte;
      return bytes;
    });
    const random = fc.uint8Array({ maxLength: 200 }).map((rest) => versioned(...rest));
    fc.assert(
      fc.property(fc.oneof(changed, random), (bytes) => {
        const failure = failureOf(() => decodeControl(anything, bytes));
        expect(failure === undefined || failure instanceof ProtocolError).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });
});
