import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import { ProtocolError } from '@manta/runtime/errors/errors';
import { BlobOwner } from '@manta/runtime/objects/blob-owner';
import { BlobServer } from '@manta/runtime/objects/blob-server';
import { RECORD } from '@manta/runtime/rpc/records';
import { LIMITS } from '@manta/runtime/wire/limits';
import { describe, expect, it } from 'vitest';

const idOf = (kind: string, letter: string): string => `${kind}_${letter.repeat(16)}`;
const blobId = idOf('b', 'a');
const peer = {
  peer: { processId: idOf('p', 'c'), role: 'agent' },
  send: () => undefined,
  onClose: () => undefined,
} as unknown as Channel;

describe('a chunk server refuses', () => {
  const server = (): BlobServer => new BlobServer({ reader: { read: () => false } });
  const pull = (...fields: unknown[]): ChannelRecord => [RECORD.blobPull, ...fields];

  it.each([
    ['no call', pull('x', blobId, 0, 1, null)],
    ['no blob', pull(1, 'b_x', 0, 1, null)],
    ['an offset below 0', pull(1, blobId, -1, 1, null)],
    ['no bytes', pull(1, blobId, 0, 0, null)],
    ['too many bytes', pull(1, blobId, 0, LIMITS.blobChunkBytes + 1, null)],
    ['a malformed slot', pull(1, blobId, 0, 1, [1, 2])],
  ])('%s', (_what, record) => {
    expect(() => server().receive(peer, record)).toThrow(ProtocolError);
  });

  it('more requests than a sound peer has', () => {
    const one = server();
    for (let call = 0; call < LIMITS.blobRequests; call += 1)
      one.receive(peer, pull(call, blobId, 0, 1, null));
    expect(() => one.receive(peer, pull(1, blobId, 0, 1, null))).toThrow(ProtocolError);
  });
});

describe('an owner refuses', () => {
  const owner = new BlobOwner({
    connect: () => Promise.reject(new Error('nobody is to be connected')),
    release: () => undefined,
    onLost: () => undefined,
  });
  const other = [idOf('p', 'd'), idOf('n', 'd'), 'machine', null, null, null];
  const ownWithoutNode = [idOf('p', 'c'), null, 'machine', null, null, null];

  it.each([
    ['a wish without a call', [RECORD.blobSource, 'x', blobId, null]],
    ['a wish for no blob', [RECORD.blobSource, 1, 7, null]],
    ['a wish of no node', [RECORD.blobSource, 1, blobId, 'n_x']],
    ['a copy on the node of another', [RECORD.blobCopied, blobId, other]],
    ['a copy on no node', [RECORD.blobCopied, blobId, ownWithoutNode]],
    ['a copy at no address', [RECORD.blobCopied, blobId, ['p_x']]],
    ['a failure that there is not', [RECORD.blobMissing, blobId, idOf('n', 'd'), 'stolen']],
  ])('%s', (_what, record) => {
    expect(() => owner.receive(peer, record)).toThrow(ProtocolError);
  });
});
