import { randomFillSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { createIdMint } from '../ids.ts';
import type { BlobDescriptor, SlotAddress } from '../objects/blob.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { BlobLocator } from './blob-locator.ts';

const mintId = createIdMint(randomFillSync);
const SLOT: SlotAddress = { segmentId: 1, offset: 0, generation: 1 };
const owner: ProcessAddress = {
  processId: mintId('process'),
  nodeId: undefined,
  machineId: 'm',
  socketPath: undefined,
  tcp: undefined,
};
const makeBlob = (): BlobDescriptor => ({
  blobId: mintId('blob'),
  sizeBytes: 1,
  agent: owner,
  slot: undefined,
});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An agent that refuses, as ours does, when too much is asked at a time. */
class Agent {
  open = 0;
  asked = 0;
  readonly locator = new BlobLocator(() => this.#answer());

  async #answer(): Promise<SlotAddress> {
    this.asked += 1;
    const isThere = this.asked % 7 !== 0;
    this.open += 1;
    if (this.open > 10_000) throw new Error('too many questions');
    await turn();
    this.open -= 1;
    if (!isThere) throw new Error('not there');
    return SLOT;
  }
}

it('asks only so much at a time, and all in the end, whatever the answers', async () => {
  const agent = new Agent();
  const blobs = Array.from({ length: 25_000 }, makeBlob);
  const answers = await Promise.allSettled(blobs.map((blob) => agent.locator.locate(blob, owner)));
  expect(agent.asked).toBe(25_000);
  const refused = answers.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(Math.floor(25_000 / 7));
  expect(
    refused.every(
      (answer) => String((answer as { reason: unknown }).reason) === 'Error: not there',
    ),
  ).toBe(true);
});

it('asks once for all who want the same blob, and anew afterwards', async () => {
  const agent = new Agent();
  const blob = makeBlob();
  await Promise.all(Array.from({ length: 10 }, () => agent.locator.locate(blob, owner)));
  expect(agent.asked).toBe(1);
  await agent.locator.locate(blob, owner);
  expect(agent.asked).toBe(2);
});
