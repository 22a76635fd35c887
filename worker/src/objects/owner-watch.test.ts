import { ProcessGoneError } from '@manta/runtime/channel/process-gone';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import { createIdMint } from '@manta/runtime/ids';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { ManualClock } from '@manta/runtime/testing/manual-clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { expect, it } from 'vitest';
import { OwnerWatch } from './owner-watch.ts';

const mint = createIdMint((target) => target.fill(5));
const owner: ProcessAddress = { processId: mint('process'), machineId: 'm' };

/** An owner that was reached once; then each attempt ends as told. */
async function lostOwner() {
  const clock = new ManualClock();
  const died: string[] = [];
  let lose: () => void = () => undefined;
  let attempt = (): Promise<PeerConnection> =>
    Promise.resolve({
      onLost: (listener: () => void) => {
        lose = listener;
        return () => undefined;
      },
    } as unknown as PeerConnection);
  const watch = new OwnerWatch({
    clock,
    connect: () => attempt(),
    onDied: (processId) => died.push(processId),
  });
  const pass = async (milliseconds: number): Promise<void> => {
    clock.advance(milliseconds);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  watch.watch(owner);
  await pass(0);
  const failWith = (error: Error): void => {
    attempt = () => Promise.reject(error);
  };
  return { died, pass, failWith, lose: () => lose() };
}

it('gives an owner of which nothing is left up within a second', async () => {
  const { died, pass, failWith, lose } = await lostOwner();
  failWith(new ProcessGoneError('refused'));
  lose();
  await pass(0);
  await pass(100);
  expect(died).toEqual([]);
  await pass(500);
  expect(died).toEqual([owner.processId]);
});

it('waits longer for one that may only be out of reach', async () => {
  const { died, pass, failWith, lose } = await lostOwner();
  failWith(new ClusterUnavailableError('no route'));
  lose();
  await pass(0);
  for (const pauseMs of [100, 500, 1_000, 2_000, 4_000]) await pass(pauseMs);
  expect(died).toEqual([]);
  await pass(8_000);
  expect(died).toEqual([owner.processId]);
});
