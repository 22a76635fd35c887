import { expect, it } from 'vitest';
import { encodeControl } from '../serialization/control-codec.ts';
import { messageBytes } from './message-size.ts';

it.each([
  ['texts', { short: 'a', long: 'x'.repeat(70_000), wide: '\u{1F600}€é'.repeat(100) }],
  ['numbers', [0, -1, 1.5, 2 ** 53, true, null]],
  ['bytes', { encodedArgs: new Uint8Array(100_000) }],
  ['lists', { methods: Array.from({ length: 1_000 }, () => ({ name: 'run', stream: false })) }],
  ['what is left out', { name: undefined, env: { A: '1' } }],
])('is never less than what the message takes: %s', (_what, value) => {
  const encoded = encodeControl(value).length - 1;
  expect(messageBytes(value)).toBeGreaterThanOrEqual(encoded);
  expect(messageBytes(value)).toBeLessThan(10 * encoded);
});
