import { expect, test } from 'vitest';
import { Progress } from './progress.ts';

function recorded(isTTY: boolean): { written: string[]; progress: Progress } {
  const written: string[] = [];
  const output = { isTTY, write: (text: string) => written.push(text) };
  let now = 0;
  return { written, progress: new Progress(output, () => (now += 500)) };
}

test('without a terminal: a line when a step begins and one when it ends', async () => {
  const { written, progress } = recorded(false);
  expect(await progress.step('work', () => Promise.resolve(7))).toBe(7);
  const failing = progress.step('fail', () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(written).toEqual(['… work\n', '✓ work (0.5 s)\n', '… fail\n', '✗ fail (0.5 s)\n']);
});

test('in a terminal: steps that run stay below the lines of those that ended', async () => {
  const { written, progress } = recorded(true);
  let finish: () => void = () => undefined;
  const slow = progress.step('slow', () => new Promise<void>((resolve) => (finish = resolve)));
  await progress.step('quick', () => Promise.resolve());
  finish();
  await slow;
  const screen = render(written);
  expect(screen).toEqual([expect.stringMatching(/^✓ quick/), expect.stringMatching(/^✓ slow/)]);
});

/** What a terminal shows after the two sequences that the display uses. */
function render(written: readonly string[]): string[] {
  const lines: string[] = [];
  for (const text of written) {
    // oxlint-disable-next-line no-control-regex
    const up = /^\u001b\[(\d+)A\u001b\[0J$/.exec(text)?.[1];
    if (up === undefined) lines.push(text.trimEnd());
    else lines.length -= Number(up);
  }
  return lines;
}
