import { expect, it } from 'vitest';
import { allOrNone } from './local-cluster.ts';

function nodeProcess() {
  return {
    isClosed: false,
    close(): Promise<void> {
      this.isClosed = true;
      return Promise.resolve();
    },
  };
}

it('nodes are in the order asked for, not in that of their getting ready', async () => {
  const [first, second] = [nodeProcess(), nodeProcess()];
  let start: (node: typeof first) => void = () => undefined;
  const slow = new Promise<typeof first>((resolve) => (start = resolve));
  const all = allOrNone([slow, Promise.resolve(second)]);
  start(first);
  expect(await all).toEqual([first, second]);
  expect(first.isClosed).toBe(false);
});

it('when one node fails those that start later are closed, too, and the failure is told', async () => {
  const [early, late] = [nodeProcess(), nodeProcess()];
  let start: (node: typeof late) => void = () => undefined;
  const slow = new Promise<typeof late>((resolve) => (start = resolve));
  const failing = Promise.reject(new Error('no room'));
  const all = allOrNone([Promise.resolve(early), failing, slow]);
  start(late);
  await expect(all).rejects.toThrow('no room');
  expect([early.isClosed, late.isClosed]).toEqual([true, true]);
});
