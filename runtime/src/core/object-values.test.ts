import { randomFillSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  BackpressureError,
  ClusterUnavailableError,
  SerializationError,
} from '../errors/errors.ts';
import { createIdMint } from '../ids.ts';
import { BlobOwner } from '../objects/blob-owner.ts';
import { HeapBlobs } from '../objects/heap-blobs.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { createValueCodec } from '../serialization/value-codec.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { NodeStore } from './node-store.ts';
import { ObjectValues, type WaitingValue } from './object-values.ts';

const mintId = createIdMint(randomFillSync);
const address = (): ProcessAddress => ({
  processId: mintId('process'),
  nodeId: mintId('node'),
  machineId: 'm',
  socketPath: undefined,
  tcp: undefined,
});
const ignored = (): void => undefined;
const notHere = () => undefined;

function valuesWith(store: Partial<NodeStore>): { values: ObjectValues; heapBlobs: HeapBlobs } {
  const heapBlobs = new HeapBlobs();
  const connect = () => Promise.reject(new ClusterUnavailableError('nobody is there'));
  const core = {
    options: { mintId },
    address: address(),
    codec: createValueCodec({ revive: () => undefined }),
    clock: new ManualClock(),
    connect,
    collect: () => [],
    lend: ignored,
    unpin: ignored,
    exportRef: ignored,
    forgetStored: ignored,
    watchNodes: ignored,
  };
  const blobs = new BlobOwner({ connect, release: ignored, onLost: ignored });
  return { values: new ObjectValues(core, store as NodeStore, { blobs, heapBlobs }), heapBlobs };
}

const borrowed = (): StoredValue => {
  const blob = { blobId: mintId('blob'), sizeBytes: 100_000, agent: address(), slot: undefined };
  return new StoredValue(blob, address(), [], undefined);
};

describe('a value that the store of this node cannot bring', () => {
  it('fails with what the agent says, whatever that is', async () => {
    const refusal = new BackpressureError('too many questions');
    const store = { isAvailable: true, open: notHere, locate: () => Promise.reject(refusal) };
    await expect(valuesWith(store).values.load(borrowed())).rejects.toBe(refusal);
  });

  it('is asked for again when the connection breaks, and fails with that when it does so each time', async () => {
    const broken = new ClusterUnavailableError('the connection closed');
    let asked = 0;
    const locate = (): Promise<never> => {
      asked += 1;
      return Promise.reject(broken);
    };
    const { values } = valuesWith({ isAvailable: true, open: notHere, locate });
    await expect(values.load(borrowed())).rejects.toBe(broken);
    expect(asked).toBe(3);
  });

  it('is pulled when the store is gone', async () => {
    const store = {
      isAvailable: true,
      open: notHere,
      locate: () => {
        Object.assign(store, { isAvailable: false });
        return Promise.reject(new Error('the store was made anew'));
      },
    };
    const { values } = valuesWith(store);
    await expect(values.load(borrowed())).rejects.toMatchObject({ name: 'OwnerDiedError' });
  });
});

describe('without a store', () => {
  const MIB = 1024 * 1024;
  const store = { isAvailable: false, release: ignored, slotHint: notHere };

  it('a large value is served from the heap until it is dropped', () => {
    const { values, heapBlobs } = valuesWith(store);
    const stored = values.keep(new Uint8Array(2 * MIB).fill(7), 'value') as StoredValue;
    const { blobId, sizeBytes } = stored.blob;
    const target = new Uint8Array(16);
    const last = { blobId, offset: sizeBytes - 16, bytes: 16, slot: undefined };
    expect(heapBlobs.read(last, target)).toBe(true);
    expect(target).toEqual(new Uint8Array(16).fill(7));
    expect(heapBlobs.read({ ...last, bytes: 17 }, new Uint8Array(17))).toBe(false);
    values.drop(stored);
    expect(heapBlobs.read(last, target)).toBe(false);
  });

  it('a value that waited for room when the node went is served from there, too', async () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const gone = new ClusterUnavailableError('the node is gone');
    const full = {
      ...store,
      isAvailable: true,
      write() {
        full.isAvailable = false;
        return { blob: Promise.reject(gone), bytes, giveUp: ignored };
      },
    };
    const { values, heapBlobs } = valuesWith(full);
    const waiting = values.keep(new Uint8Array(2 * MIB), 'value') as WaitingValue;
    const { blob } = (await waiting.stored) as StoredValue;
    const target = new Uint8Array(3);
    const whole = { blobId: blob.blobId, offset: 0, bytes: 3, slot: undefined };
    expect(heapBlobs.read(whole, target)).toBe(true);
    expect(target).toEqual(bytes);
  });

  it('a result that no message can carry is refused before it is sent', () => {
    const { values } = valuesWith(store);
    const handOver = () =>
      values.handOver(new Uint8Array(121 * MIB), 'result', mintId('process'), undefined);
    expect(handOver).toThrow(SerializationError);
    expect(handOver).toThrow(/result cannot be sent: \d+ bytes in one message/);
  });
});
