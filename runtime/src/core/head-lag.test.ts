import { beforeEach, expect, it } from 'vitest';
import type { ActorId } from '../ids.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { ActorNews } from '../rpc/actor-news.ts';
import { Watchers } from '../rpc/watchers.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ActorUpdate, ProcessAddress } from '../wire/messages.ts';
import { headCaughtUp } from './head-lag.ts';

const actorId = 'a_0000000000000000' as ActorId;
const address = { processId: 'p_0000000000000000' } as unknown as ProcessAddress;

const clock = new ManualClock();
let news: ActorNews;
let watchers: Watchers;
let pendingWork: number;
let isDone: boolean;

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A process that holds this one actor asks. */
async function ask(): Promise<void> {
  const caller = { news, watchers, connectionState: 'open' } as unknown as ActorCaller;
  const core = {
    clock,
    actors: { callers: () => [caller] },
    callStarted: () => (pendingWork += 1),
    callFinished: () => (pendingWork -= 1),
  };
  void headCaughtUp(core).then(() => (isDone = true));
  await turn();
}

beforeEach(() => {
  news = new ActorNews();
  watchers = new Watchers();
  pendingWork = 0;
  isDone = false;
});

function headSays(state: ActorUpdate['state'], revision: number): void {
  news.take({ actorId, revision, state, incarnation: 0, address });
  watchers.changed();
}

it('waits for nothing when the head has said all that is known here', async () => {
  headSays('alive', 1);
  await ask();
  expect([isDone, pendingWork]).toEqual([true, 0]);
});

it('waits for the word of the head on an actor that has begun, and keeps the program alive meanwhile', async () => {
  news.begin(actorId, 0, address);
  await ask();
  headSays('pending', 1);
  await turn();
  expect([isDone, pendingWork]).toEqual([false, 1]);
  headSays('alive', 2);
  await turn();
  expect([isDone, pendingWork]).toEqual([true, 0]);
});

it('waits for a second at most', async () => {
  news.begin(actorId, 0, address);
  await ask();
  clock.advance(999);
  await turn();
  expect(isDone).toBe(false);
  clock.advance(1);
  await turn();
  expect([isDone, pendingWork]).toEqual([true, 0]);
});
