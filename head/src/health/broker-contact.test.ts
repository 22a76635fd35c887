import { expect, it } from 'vitest';
import type { Transport } from '@manta/runtime/transport/transport';
import { SimClock } from '../sim/sim-clock.ts';
import { BrokerContact } from './broker-contact.ts';

interface FakeBroker {
  transport: Transport;
  /** Answers, or refuses, the open questions. */
  settle: { answer(): void; fail(): void }[];
  status: Transport['status'];
}

function fakeBroker(): FakeBroker {
  const broker: FakeBroker = {
    settle: [],
    status: 'connected',
    transport: {
      get status() {
        return broker.status;
      },
      flush: () =>
        new Promise<void>((resolve, reject) => {
          broker.settle.push({ answer: resolve, fail: () => reject(new Error('no way')) });
        }),
    } as Transport,
  };
  return broker;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('is there while questions are answered in time, and not when one is open for longer', async () => {
  const broker = fakeBroker();
  const clock = new SimClock();
  const contact = new BrokerContact({ transport: broker.transport, clock }, 500);
  expect(contact.check()).toBe(true);
  clock.jump(500);
  expect(contact.check()).toBe(true);
  clock.jump(1);
  expect(contact.check()).toBe(false);
  expect(broker.settle).toHaveLength(1);
  broker.settle[0]?.answer();
  await turn();
  expect(contact.check()).toBe(true);
  expect(broker.settle).toHaveLength(2);
});

it('asks again after a failure, and not without a connection', async () => {
  const broker = fakeBroker();
  const contact = new BrokerContact({ transport: broker.transport, clock: new SimClock() }, 500);
  contact.check();
  broker.settle[0]?.fail();
  await turn();
  broker.status = 'reconnecting';
  expect(contact.check()).toBe(false);
  expect(broker.settle).toHaveLength(1);
  broker.status = 'connected';
  expect(contact.check()).toBe(true);
  expect(broker.settle).toHaveLength(2);
});
