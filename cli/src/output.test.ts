import { describe, expect, it } from 'vitest';
import { formatAge, formatAmount, formatBytes, formatValue, renderTable } from './output.ts';

describe('output', () => {
  it('aligns text to the left and numbers to the right', () => {
    const table = renderTable(
      ['NAME', 'COUNT'],
      [
        ['a', '5'],
        ['longer', '12345678'],
      ],
    );
    expect(table).toBe(['NAME       COUNT', 'a              5', 'longer  12345678'].join('\n'));
  });

  it.each([
    [0, '0 B'],
    [1536, '1.5 KiB'],
    [16 * 1024 ** 3, '16 GiB'],
    [5000 * 1024 ** 4, '5000 TiB'],
  ])('bytes %d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [1_000, '1 s'],
    [61_000, '1 min 1 s'],
    [3_660_000, '1 h 1 min'],
    [49 * 3_600_000, '2 d 1 h'],
  ])('age %d', (ageMs, text) => {
    expect(formatAge(ageMs)).toBe(text);
  });

  it('shows amounts without the noise of floating point', () => {
    expect(formatAmount('cpus', 0.1 + 0.2)).toBe('0.3');
    expect(formatAmount('memoryBytes', 1024)).toBe('1 KiB');
  });

  it('prints what a call returned', () => {
    expect(formatValue('text', false)).toBe('text');
    expect(formatValue('text', true)).toBe('"text"');
    expect(formatValue(undefined, true)).toBe('null');
    expect(formatValue({ n: 1n, m: new Map([['a', new Set([1])]]) }, true)).toBe(
      '{"n":"1","m":{"a":[1]}}',
    );
    expect(formatValue(Uint8Array.of(1, 2), true)).toBe('{"base64":"AQI="}');
    expect(formatValue(Float32Array.of(0.5), true)).toBe('[0.5]');
  });
});
