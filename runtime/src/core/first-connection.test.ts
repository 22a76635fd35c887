import { expect, it } from 'vitest';
import { AuthenticationError, ClusterUnavailableError } from '../errors/errors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Transport } from '../transport/transport.ts';
import { firstConnection } from './first-connection.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nobody = new ClusterUnavailableError('nobody is there');

/** Fails with these, one after the other, and then connects. */
function connecting(...failures: Error[]) {
  const transport = {} as Transport;
  const clock = new ManualClock();
  const state = { attempts: 0, isOver: false };
  const connectTransport = async (): Promise<Transport> => {
    const failure = failures[state.attempts];
    state.attempts += 1;
    if (failure !== undefined) throw failure;
    return transport;
  };
  const connection = firstConnection({ connectTransport, clock }, () => state.isOver);
  return { transport, clock, state, connection };
}

it('is tried again until somebody is there', async () => {
  const { transport, clock, state, connection } = connecting(nobody, nobody, nobody);
  for (const waitedMs of [50, 100, 200]) {
    await turn();
    clock.advance(waitedMs);
  }
  expect(await connection).toBe(transport);
  expect(state.attempts).toBe(4);
});

it('fails at once where asking again does not help', async () => {
  const refused = new AuthenticationError('a wrong token');
  await expect(connecting(refused).connection).rejects.toBe(refused);
});

it('is given up after a minute, and when the process leaves', async () => {
  const { clock, connection } = connecting(...Array.from({ length: 200 }, () => nobody));
  const outcome = connection.catch((error: unknown) => error);
  for (let waitedMs = 0; waitedMs <= 60_000; waitedMs += 500) {
    await turn();
    clock.advance(500);
  }
  expect(await outcome).toBe(nobody);
  const leaving = connecting(nobody, nobody);
  leaving.state.isOver = true;
  await expect(leaving.connection).rejects.toBe(nobody);
});
