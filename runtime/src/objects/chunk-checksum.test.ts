import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ChunkChecksum } from './chunk-checksum.ts';

const checksumOf = (...pieces: Uint8Array[]): number => {
  const checksum = new ChunkChecksum();
  for (const piece of pieces) checksum.update(piece);
  return checksum.value();
};

it('is that of the bytes, in whatever pieces they come', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.array(fc.nat(200)),
      (bytes, cuts) => {
        const ends = [...cuts, bytes.length].sort((a, b) => a - b);
        const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        expect(checksumOf(...pieces)).toBe(checksumOf(bytes));
      },
    ),
  );
});

it('is another when a bit is, or the length', () => {
  const bytes = randomBytes(100_000);
  const before = checksumOf(bytes);
  for (let index = 0; index < bytes.length; index += 997) {
    const changed = Buffer.from(bytes);
    changed[index] = (bytes[index] as number) ^ 1;
    expect(checksumOf(changed)).not.toBe(before);
  }
  expect(checksumOf(bytes.subarray(1))).not.toBe(before);
  expect(checksumOf(Buffer.alloc(64))).not.toBe(checksumOf(Buffer.alloc(65)));
});

it('is the same on all machines and versions', () => {
  expect(checksumOf(new Uint8Array(1024).fill(7))).toBe(284980364);
});
