import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonBytes } from './json-bytes.ts';

const textOf = (values: number[]): string =>
  new JsonBytes(0).text('[').numbers(Float32Array.from(values)).text(']').toString();

/** Any bits: subnormal ones, infinities and NaN too. */
const float32 = fc
  .integer({ min: 0, max: 0xffff_ffff })
  .map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0] as number);

describe('numbers', () => {
  it('read back as the same float32, and null where JSON has no number', () => {
    const fraction = fc.float({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.oneof(float32, fraction)), (values) => {
        const read = JSON.parse(textOf(values)) as (number | null)[];
        expect(read.map((value) => (value === null ? null : Math.fround(value)))).toEqual(
          values.map((value) => (Number.isFinite(value) ? value + 0 : null)),
        );
      }),
    );
  });

  it('have nine digits at most where they are fractions', () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(0.1), max: 1, maxExcluded: true }), (value) => {
        expect(textOf([value]).length).toBeLessThanOrEqual('[0.]'.length + 9);
      }),
    );
  });

  it.each([
    [0, '0'],
    [1, '1'],
    [0.5, '0.5'],
    [-0.25, '-0.25'],
    [0.1, '0.100000001'],
    [0.01, '0.00999999978'],
    [1 - 2 ** -24, '0.99999994'],
    [2 ** -19, '0.00000190734863'],
    [1e-7, '1.0000000116860974e-7'],
    [300.5, '300.5'],
    [3.4028234663852886e38, '3.4028234663852886e+38'],
  ])('%d is %s', (value, text) => {
    expect(textOf([value])).toBe(`[${text}]`);
  });
});

it('grows with what is written', () => {
  const json = new JsonBytes(1)
    .text('{')
    .fields({ é: ['ü', '"'] })
    .text(',"numbers":[');
  json.numbers(new Float32Array(1000).fill(-0.123456789)).text(']}');
  const { numbers, ...rest } = JSON.parse(json.bytes().toString()) as { numbers: number[] };
  expect(rest).toEqual({ é: ['ü', '"'] });
  expect(numbers).toEqual(Array.from({ length: 1000 }, () => -0.123456791));
});
