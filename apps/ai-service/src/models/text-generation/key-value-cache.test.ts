import { expect, test } from 'vitest';
import { emptyCacheRow, gatherRows, type KeyValueCache } from './key-value-cache.ts';

const LAYOUT = { tensorCount: 2, heads: 2, headSize: 3 };

/** Each number tells the row's tag, the tensor, the head and the token it belongs to. */
function cacheOf(rows: readonly { tag: number; length: number }[]): KeyValueCache {
  const width = Math.max(...rows.map(({ length }) => length));
  const tensors = Array.from({ length: LAYOUT.tensorCount }, (_, tensor) =>
    Float32Array.from(
      rows.flatMap(({ tag, length }) =>
        Array.from({ length: LAYOUT.heads * width }, (_unused, cell) => {
          const head = Math.floor(cell / width);
          const token = (cell % width) - (width - length);
          return Array.from({ length: LAYOUT.headSize }, () =>
            token < 0 ? 0 : 1000 * tag + 100 * tensor + 10 * head + token,
          );
        }).flat(),
      ),
    ),
  );
  return { lengths: rows.map(({ length }) => length), width, tensors };
}

test('takes a cache as it is when its rows stay', () => {
  const cache = cacheOf([
    { tag: 1, length: 2 },
    { tag: 2, length: 3 },
  ]);
  expect(
    gatherRows(
      [
        { cache, row: 0 },
        { cache, row: 1 },
      ],
      LAYOUT,
    ),
  ).toBe(cache);
});

test('drops a row, and the columns that only it needed', () => {
  const cache = cacheOf([
    { tag: 1, length: 2 },
    { tag: 2, length: 5 },
    { tag: 3, length: 1 },
  ]);
  const gathered = gatherRows(
    [
      { cache, row: 0 },
      { cache, row: 2 },
    ],
    LAYOUT,
  );
  expect(gathered).toEqual(
    cacheOf([
      { tag: 1, length: 2 },
      { tag: 3, length: 1 },
    ]),
  );
});

test('joins rows of several caches and pads the shorter ones on the left', () => {
  const one = cacheOf([
    { tag: 1, length: 2 },
    { tag: 2, length: 3 },
  ]);
  const other = cacheOf([{ tag: 3, length: 7 }]);
  const gathered = gatherRows(
    [
      { cache: other, row: 0 },
      { cache: one, row: 1 },
      { cache: one, row: 0 },
    ],
    LAYOUT,
  );
  expect(gathered).toEqual(
    cacheOf([
      { tag: 3, length: 7 },
      { tag: 2, length: 3 },
      { tag: 1, length: 2 },
    ]),
  );
});

test('begins with nothing', () => {
  const gathered = gatherRows([emptyCacheRow(LAYOUT)], LAYOUT);
  expect(gathered.lengths).toEqual([0]);
  expect(gathered.tensors.map(({ length }) => length)).toEqual([0, 0]);
});
