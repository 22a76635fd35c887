import { randomFillSync } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { createIdMint } from '../ids.ts';
import { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { AskedChannel } from '../testing/asked-channel.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { BlobReleases } from './blob-releases.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const [blobId, otherBlobId] = [mintId('blob'), mintId('blob')];
const agent: ProcessAddress = {
  processId: mintId('process'),
  nodeId: mintId('node'),
  machineId: 'm',
  socketPath: undefined,
  tcp: undefined,
};

let clock: ManualClock;
let channels: AskedChannel[];
let isAgentGone: boolean;
let releases: BlobReleases;

beforeEach(() => {
  clock = new ManualClock();
  channels = [];
  isAgentGone = false;
  releases = new BlobReleases(clock, () => {
    if (isAgentGone) return Promise.reject(new Error('nobody there'));
    const channel = new AskedChannel(agent.processId);
    channels.push(channel);
    return Promise.resolve(new PeerConnection(channel));
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const releasedOn = (index: number): unknown[] =>
  (channels[index]?.sent ?? []).map(([kind, , blobIds]) => [kind, blobIds]);

async function passTime(milliseconds: number): Promise<void> {
  clock.advance(milliseconds);
  await turn();
}

it('go together, and once when they are answered', async () => {
  releases.add(agent, blobId);
  releases.add(agent, otherBlobId);
  await passTime(5);
  expect(releasedOn(0)).toEqual([[RECORD.storeRelease, [blobId, otherBlobId]]]);
  channels[0]?.acknowledge();
  channels[0]?.break();
  await passTime(60_000);
  expect(channels).toHaveLength(1);
});

it('go again when the connection breaks before they are answered, until the agent is gone', async () => {
  releases.add(agent, blobId);
  await passTime(5);
  channels[0]?.break();
  await turn();
  expect(releasedOn(1)).toEqual(releasedOn(0));
  isAgentGone = true;
  channels[1]?.break();
  await passTime(60_000);
  expect(channels).toHaveLength(2);
});
