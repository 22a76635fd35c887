import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker, type Broker } from '@manta/runtime/broker/broker';
import { machineId } from '@manta/runtime/channel/machine-id';
import { openChannel } from '@manta/runtime/channel/open-channel';
import { attachmentFrom } from '@manta/runtime/core/store-attachment';
import { ask } from '@manta/runtime/rpc/ask';
import { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { RECORD } from '@manta/runtime/rpc/records';
import { SharedStore } from '@manta/runtime/shared-memory/shared-store';
import { waitFor } from '@manta/runtime/testing/wait-for';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startNode, type RunningNode } from '../../dist/main.js'; // as its processes are
import { FakeHead, testMint } from '../testing/fake-head.ts';

const TOKEN = 'test-token';
const HOST = new URL('../../dist/testing/fake-host.js', import.meta.url).pathname;

let broker: Broker;
let head: FakeHead;
let directory: string;
let node: RunningNode;

beforeEach(async () => {
  broker = await startBroker({ port: 0, token: TOKEN });
  head = await FakeHead.start(broker.url, TOKEN);
  directory = mkdtempSync(join(tmpdir(), 'manta-'));
  node = await startNode({
    natsUrl: broker.url,
    token: TOKEN,
    directory,
    cpus: 2,
    poolSize: 1,
    objectStoreBytes: 2 ** 20,
    programs: { host: HOST },
  });
});
afterEach(async () => {
  await node.close();
  await head.close();
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

it('a driver that dies before it has linked itself to the node leaves nothing in the object store', async () => {
  const processId = testMint('process');
  const address = head.registrations[0]?.address as ProcessAddress;
  const channel = await openChannel(address, {
    machineId: machineId(),
    token: TOKEN,
    timeoutMs: 2_000,
    self: { processId, role: 'driver' },
  });
  const attachment = await ask(new PeerConnection(channel), RECORD.storeAttach);
  const { directory: store } = attachmentFrom(attachment);
  // Never closed: nobody tidies up after a process that dies.
  SharedStore.attach({ directory: store, processId }).write([new Uint8Array(1_000)], 1_000);
  const isOfDriver = (name: string): boolean =>
    name.startsWith('segment-') || name.endsWith(processId);
  expect(readdirSync(store).filter(isOfDriver)).toHaveLength(2);
  channel.close();
  await waitFor(() => !readdirSync(store).some(isOfDriver), { describe: 'what it stored to go' });
  expect(head.eventsOf('process-ended')).toEqual([]);
});
