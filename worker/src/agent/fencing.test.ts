import fc from 'fast-check';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  createFencingState,
  nobodyAtWork,
  stepFencing,
  type FencingEvent,
  type Reach,
} from './fencing.ts';
import { brokerEndpoints, isLocal, probe } from './reachability.ts';

const TIMEOUT_MS = 3_000;
const check = (nowMs: number, options = { localBroker: false, cutOff: false }): FencingEvent => ({
  type: 'check',
  nowMs,
  ...options,
});

describe('fencing', () => {
  it('(1) stays in contact while round trips come back', () => {
    const state = createFencingState(TIMEOUT_MS, 0);
    for (let nowMs = 0; nowMs < 60_000; nowMs += 500) {
      stepFencing(state, { type: 'round-trip', sentAtMs: nowMs });
      expect(stepFencing(state, check(nowMs))).toEqual([]);
    }
  });

  it('(2) fences once, counted from when the last answered question was sent', () => {
    const state = createFencingState(TIMEOUT_MS, 0);
    stepFencing(state, { type: 'round-trip', sentAtMs: 1_000 });
    const effects = [];
    for (let nowMs = 1_000; nowMs <= 9_000; nowMs += 100) {
      effects.push(...stepFencing(state, check(nowMs)).map((effect) => ({ nowMs, ...effect })));
    }
    expect(effects).toEqual([{ nowMs: 4_100, type: 'fence', withoutContactMs: 3_100 }]);
  });

  it('(3) begins anew when the head accepts the node again', () => {
    const state = createFencingState(TIMEOUT_MS, 0);
    stepFencing(state, check(2_000));
    expect(stepFencing(state, check(4_000)), 'just awake').toEqual([]);
    expect(stepFencing(state, check(4_300))).toMatchObject([{ type: 'fence' }]);
    stepFencing(state, { type: 'registered', nowMs: 5_000 });
    expect(stepFencing(state, check(6_500))).toEqual([]);
    expect(stepFencing(state, check(7_900))).toEqual([]);
    expect(stepFencing(state, check(8_100))).toMatchObject([{ type: 'fence' }]);
  });

  it.each<[Reach[], boolean]>([
    [['refused'], true],
    [['silent'], true],
    [['refused', 'silent'], true],
    [['unreachable'], false],
    [['refused', 'unreachable'], false],
    // A broker that greets and does not let this node in may serve a head that gives its actors away.
    [['greeted'], false],
    [[], false],
  ])('%j: nobody at work is %s', (reaches, expected) => {
    expect(nobodyAtWork(reaches)).toBe(expected);
  });

  it('goes on without end while the head process is gone from a machine that answers', () => {
    const state = createFencingState(TIMEOUT_MS, 0);
    for (let nowMs = 0; nowMs < 600_000; nowMs += 500) {
      stepFencing(state, { type: 'probed', sentAtMs: nowMs, reaches: ['refused'] });
      expect(stepFencing(state, check(nowMs))).toEqual([]);
    }
  });

  it('after a gap asks the head, and trusts a broker on the same machine', () => {
    const local = createFencingState(TIMEOUT_MS, 0);
    expect(stepFencing(local, check(60_000, { localBroker: true, cutOff: false }))).toEqual([
      { type: 'register-again' },
    ]);
    const remote = createFencingState(TIMEOUT_MS, 0);
    expect(stepFencing(remote, check(60_000)).map(({ type }) => type)).toEqual([
      'register-again',
      'fence',
    ]);
  });

  it('never leaves actors alive beyond the time since the last proof', () => {
    const event = fc.record({ afterMs: fc.integer({ min: 1, max: 500 }), contact: fc.boolean() });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        const state = createFencingState(TIMEOUT_MS, 0);
        let nowMs = 0;
        let lastProofMs = 0;
        for (const { afterMs, contact } of events) {
          nowMs += afterMs;
          if (contact && !state.fenced) {
            lastProofMs = nowMs;
            stepFencing(state, { type: 'round-trip', sentAtMs: nowMs });
          }
          stepFencing(state, check(nowMs));
          expect(state.fenced || nowMs - lastProofMs <= TIMEOUT_MS).toBe(true);
        }
      }),
    );
  });
});

describe('reachability', () => {
  it('reads endpoints', () => {
    expect(brokerEndpoints('nats://10.0.0.5:4223, nats://[::1]:80,head')).toEqual([
      { host: '10.0.0.5', port: 4223 },
      { host: '::1', port: 80 },
      { host: 'head', port: 4222 },
    ]);
    expect(isLocal(brokerEndpoints('nats://127.0.0.1:1,nats://[::1]:2'))).toBe(true);
    expect(isLocal(brokerEndpoints('nats://127.0.0.1:1,nats://10.0.0.5:2'))).toBe(false);
  });

  it('tells a broker, a stalled process and a closed port apart', async () => {
    const greets = createServer((socket) => socket.end('INFO {}\r\n'));
    const stalled = createServer((socket) => socket.on('error', () => undefined));
    const portOf = async (server: typeof greets): Promise<number> => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return (server.address() as AddressInfo).port;
    };
    const host = '127.0.0.1';
    const greeting = { host, port: await portOf(greets) };
    const silent = { host, port: await portOf(stalled) };
    expect(await probe(greeting, 2_000)).toBe('greeted');
    expect(await probe(silent, 50)).toBe('silent');
    await new Promise((resolve) => greets.close(resolve));
    expect(await probe(greeting, 2_000)).toBe('refused');
    await new Promise((resolve) => stalled.close(resolve));
    expect(await probe({ host: 'name.invalid', port: 1 }, 2_000)).toBe('unreachable');
  });
});
