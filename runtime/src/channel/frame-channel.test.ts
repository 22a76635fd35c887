import { randomFillSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { createIdMint } from '../ids.ts';
import { FrameChannel } from './frame-channel.ts';
import { FrameReader } from './frame.ts';
import type { Pipe } from './pipe.ts';

const MIB = 1024 * 1024;

/** Notes the length of each frame. */
function collectingPipe(): { pipe: Pipe; frames: number[] } {
  const frames: number[] = [];
  const ignored = (): void => undefined;
  const pipe: Pipe = {
    write: (buffers) => void frames.push(buffers.reduce((sum, { length }) => sum + length, 0)),
    onData: ignored,
    onClose: ignored,
    pause: ignored,
    resume: ignored,
    end: ignored,
    destroy: ignored,
    unref: ignored,
  };
  return { pipe, frames };
}

it('sends a frame before the turn ends when its records have become large', async () => {
  const { pipe, frames } = collectingPipe();
  const peer = { processId: createIdMint(randomFillSync)('process'), role: 'host' as const };
  const channel = new FrameChannel(pipe, peer, new FrameReader(() => undefined, MIB));
  const record = [1, Array.from({ length: 20 }, () => new Uint8Array(10_000))];
  for (let sent = 0; sent < 200; sent += 1) channel.send(record);
  await new Promise((resolve) => setImmediate(resolve));
  expect(frames.length).toBeGreaterThan(10);
  expect(Math.max(...frames)).toBeLessThan(1.5 * MIB);
});
