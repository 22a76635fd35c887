import { randomFillSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { createIdMint, type ProcessId } from '../ids.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { PeerPresence } from './peer-presence.ts';

const GRACE_MS = 3_000;
const id = createIdMint((bytes) => randomFillSync(bytes))('process');
const address: ProcessAddress = {
  processId: id,
  nodeId: undefined,
  machineId: 'm',
  socketPath: '/s',
  tcp: undefined,
};

/** One process, and the connection that this one has opened to it; the other one is that process's own doing. */
class Peer {
  readonly clock = new ManualClock();
  readonly deaths: ProcessId[] = [];
  isAlive = true;
  matters = true;
  #isOpen = false;
  readonly presence = new PeerPresence({
    clock: this.clock,
    connect: () => this.#connect(),
    matters: () => this.matters,
    onDied: (processId) => this.deaths.push(processId),
  });

  /** Who connects knows the address before the connection is open; one that is open is used again. */
  #connect(): Promise<void> {
    this.presence.know(address);
    this.#isOpen ||= this.isAlive;
    return this.#isOpen ? Promise.resolve() : Promise.reject(new Error('refused'));
  }

  call(): void {
    this.#connect().catch(() => undefined);
  }

  endOutgoing(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.presence.connectionEnded(id);
  }

  async pass(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

let peer: Peer;
beforeEach(() => {
  peer = new Peer();
});

describe('a process whose connection has ended', () => {
  it('is dead when it cannot be reached at its address', async () => {
    peer.presence.know(address);
    peer.isAlive = false;
    peer.presence.connectionEnded(id);
    await peer.pass(0);
    expect(peer.deaths).toEqual([id]);
  });

  it('is alive when it can', async () => {
    peer.presence.know(address);
    peer.presence.connectionEnded(id);
    await peer.pass(GRACE_MS);
    expect(peer.deaths).toEqual([]);
    expect(peer.presence.isLost(id)).toBe(false);
  });

  it('is not looked for when nobody needs to know', async () => {
    peer.matters = false;
    peer.isAlive = false;
    peer.presence.connectionEnded(id);
    await peer.pass(GRACE_MS);
    expect(peer.deaths).toEqual([]);
    expect(peer.presence.isLost(id)).toBe(true);
  });

  it('is dead when nobody knows its address and it does not come back', async () => {
    peer.presence.connectionEnded(id);
    await peer.pass(GRACE_MS - 1);
    expect(peer.deaths).toEqual([]);
    await peer.pass(1);
    expect(peer.deaths).toEqual([id]);
  });

  it('is alive when it comes back', async () => {
    peer.presence.connectionEnded(id);
    await peer.pass(1_000);
    peer.presence.heardOf(id);
    await peer.pass(GRACE_MS);
    expect(peer.deaths).toEqual([]);
  });

  it('is dead when it came back and was lost again meanwhile', async () => {
    peer.presence.connectionEnded(id);
    await peer.pass(1_000);
    peer.presence.heardOf(id);
    peer.isAlive = false;
    peer.presence.connectionEnded(id);
    await peer.pass(GRACE_MS);
    await peer.pass(GRACE_MS);
    expect(peer.deaths).toEqual([id]);
  });

  it('is not alive because somebody has tried to call it', async () => {
    peer.presence.connectionEnded(id);
    peer.isAlive = false;
    peer.call();
    await peer.pass(GRACE_MS);
    expect(peer.deaths).toEqual([id]);
  });

  it('is dead when the end of its other connection came first', async () => {
    peer.call();
    peer.isAlive = false;
    peer.presence.connectionEnded(id);
    await peer.pass(0);
    expect(peer.deaths).toEqual([]);
    peer.endOutgoing();
    await peer.pass(0);
    expect(peer.deaths).toEqual([id]);
  });
});

describe('whatever happens before', () => {
  const step = fc.constantFrom('call', 'lose incoming', 'lose outgoing', 'hear', 'short', 'long');
  const steps = fc.array(step, { maxLength: 12 });

  async function play(what: string): Promise<void> {
    if (what === 'call') peer.call();
    else if (what === 'lose incoming') peer.presence.connectionEnded(id);
    else if (what === 'lose outgoing') peer.endOutgoing();
    else if (what === 'hear' && peer.isAlive) peer.presence.heardOf(id);
    else await peer.pass(what === 'long' ? GRACE_MS : 700);
  }

  it('a death is found once its last connection has ended', async () => {
    await fc.assert(
      fc.asyncProperty(steps, steps, async (before, after) => {
        peer = new Peer();
        for (const what of before) await play(what);
        peer.isAlive = false;
        for (const what of after) await play(what);
        peer.endOutgoing();
        peer.presence.connectionEnded(id);
        for (let passed = 0; passed < 3; passed += 1) await peer.pass(GRACE_MS);
        expect(peer.deaths).toContain(id);
      }),
    );
  });

  it('a process that can be reached is never taken for dead', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        peer = new Peer();
        peer.presence.know(address);
        for (const what of all) await play(what);
        for (let passed = 0; passed < 3; passed += 1) await peer.pass(GRACE_MS);
        expect(peer.deaths).toEqual([]);
      }),
    );
  });
});
