// oxlint-disable vitest/no-conditional-expect -- the model of the history says what to expect
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../channel/channel.ts';
import { AuthenticationError, ClusterUnavailableError } from '../errors/errors.ts';
import type { ActorId, ProcessId } from '../ids.ts';
import { ObjectRef, REF_STATE } from '../objects/object-ref.ts';
import { TaskWaits } from '../tasks/task-waits.ts';
import { createValueCodec } from '../serialization/value-codec.ts';
import { FakeChannel } from '../testing/fake-channel.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { TurnClock } from '../time/turn-clock.ts';
import type { ActorUpdate, ProcessAddress } from '../wire/messages.ts';
import type { ActorCall } from './actor-call.ts';
import { ActorCaller } from './actor-caller.ts';
import type { CallerCore } from './caller-core.ts';
import { PeerConnection } from './peer-connection.ts';
import { RECORD } from './records.ts';

const actorId = 'a_0000000000000000' as ActorId;
const method = { name: 'run', number: 0, stream: false };

/** The actor's end of one connection: notes what arrives, and answers when it is told to. */
class ActorChannel extends FakeChannel {
  /** What was called, by the first argument, in order. */
  readonly arrived: number[] = [];
  readonly unanswered: { number: number; argument: number }[] = [];

  send(record: ChannelRecord): void {
    if (!this.isOpen || record[0] !== RECORD.call) return;
    const argument = (record[4] as number[])[0] as number;
    this.arrived.push(argument);
    this.unanswered.push({ number: record[2] as number, argument });
  }

  answer(pick: number): void {
    const [call] = this.unanswered.splice(pick % this.unanswered.length, 1);
    if (call !== undefined) this.arrive([RECORD.result, call.number, call.argument]);
  }
}

/** An actor, its head, and the process that calls it. */
class World {
  readonly clock = new ManualClock();
  readonly channels: ActorChannel[] = [];
  readonly calls: { call: ActorCall; retries: number }[] = [];
  readonly caller: ActorCaller;
  pendingWork = 0;
  /** How often somebody tried to connect. */
  attempts = 0;
  /** The process is gone, and the head does not know it yet. */
  isUnreachable = false;
  /** Who listens there refuses this process. */
  isRefused = false;
  /** Lives that the caller has told the head of. */
  readonly lived: number[] = [];
  /** Lives that began by the word of their process and were lost before the head heard of them. */
  readonly unheard: number[] = [];
  #isThere = false;
  #update: ActorUpdate = { actorId, revision: 0, state: 'pending', incarnation: 0 };
  #connection: Promise<PeerConnection> | undefined;

  constructor() {
    const runtime = {
      waits: new TaskWaits(),
      mintObjectId: () => 'o_0000000000000000',
      fetch: () => undefined,
      dispose: () => undefined,
    };
    const core = {
      runtime,
      codec: createValueCodec({ revive: () => undefined }),
      clock: this.clock,
      turnClock: new TurnClock(this.clock),
      connect: () => this.#connect(),
      actors: {
        refresh: () => queueMicrotask(() => this.caller.apply(this.#update)),
        lived: (_actorId: ActorId, incarnation: number) => this.lived.push(incarnation),
      },
      lend: () => undefined,
      unpin: () => undefined,
      callStarted: () => (this.pendingWork += 1),
      callFinished: () => (this.pendingWork -= 1),
    };
    this.caller = new ActorCaller(core as unknown as CallerCore, {
      actorId,
      className: 'Model',
      maxTaskRetries: 0,
      retryExceptions: undefined,
      maxPendingCalls: undefined,
      allowOutOfOrderExecution: false,
    });
  }

  get current(): ActorChannel | undefined {
    const last = this.channels.at(-1);
    return last?.isOpen === true ? last : undefined;
  }

  /** One connection to the process of this life, as a core keeps it. */
  #connect(): Promise<PeerConnection> {
    this.attempts += 1;
    if (this.isRefused) return Promise.reject(new AuthenticationError('wrong token'));
    if (!this.#isThere || this.isUnreachable)
      return Promise.reject(new ClusterUnavailableError('nobody there'));
    if (this.#connection !== undefined) return this.#connection;
    const channel = new ActorChannel('p_0000000000000000' as ProcessId);
    channel.onClose(() => (this.#connection = undefined));
    this.channels.push(channel);
    this.#connection = Promise.resolve(new PeerConnection(channel));
    return this.#connection;
  }

  submit(retries: number): void {
    const call = this.caller.submitWith(method, [this.calls.length], { maxTaskRetries: retries });
    this.calls.push({ call, retries });
  }

  get #address(): ProcessAddress {
    return { processId: `p_${this.#update.incarnation}` } as unknown as ProcessAddress;
  }

  #say(state: ActorUpdate['state'], change: Partial<ActorUpdate> = {}): void {
    this.#update = { ...this.#update, ...change, state, revision: this.#update.revision + 1 };
    this.caller.apply(this.#update);
  }
  start(): void {
    if (this.#update.state === 'alive' || this.#update.state === 'dead') return;
    this.#isThere = true;
    this.#say('alive', { address: this.#address });
  }
  /** The process has begun and says so itself; the head has not heard of it. */
  begin(): void {
    if (this.#isThere || this.#update.state === 'dead') return;
    this.#isThere = true;
    this.caller.begun(this.#update.incarnation, this.#address);
  }
  /** The process ends; the connection may break before or after the head's word. */
  crash(wordFirst: boolean): void {
    if (!this.#isThere) return;
    this.#isThere = false;
    const channel = this.current;
    const { state, incarnation } = this.#update;
    const isUnheard = state !== 'alive';
    if (isUnheard) this.unheard.push(incarnation);
    if (!wordFirst) channel?.break();
    this.#say(isUnheard ? state : 'restarting', {
      incarnation: incarnation + 1,
      address: undefined,
    });
    if (wordFirst) channel?.break();
  }
  die(): void {
    if (this.#update.state === 'dead') return;
    this.#isThere = false;
    this.#say('dead', { deathCause: { kind: 'killed', message: 'It was killed.' } });
    this.current?.break();
  }
  /** An old word of the head that arrives late. */
  sayAgain(): void {
    this.caller.apply({
      ...this.#update,
      state: 'pending',
      revision: Math.max(0, this.#update.revision - 1),
    });
  }

  async turn(milliseconds = 0): Promise<void> {
    this.clock.advance(milliseconds);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  async settle(): Promise<void> {
    this.start();
    for (let round = 0; round < 20 && this.caller.unfinishedCalls > 0; round += 1) {
      await this.turn(20_000);
      while (this.current !== undefined && this.current.unanswered.length > 0)
        this.current.answer(0);
    }
    await this.turn(20_000);
  }

  arrivals(argument: number): number {
    return this.channels.flatMap(({ arrived }) => arrived).filter((other) => other === argument)
      .length;
  }
}

type Step =
  | { type: 'submit'; retries: number }
  | { type: 'answer'; pick: number }
  | { type: 'start' | 'begin' | 'die' | 'break' | 'turn' | 'wait' | 'old-word' }
  | { type: 'crash'; wordFirst: boolean };

const step = (deaths: number): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant('submit' as const),
        retries: fc.constantFrom(0, 0, 1, 2, -1),
      }),
    },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('answer' as const), pick: fc.nat(3) }) },
    { weight: 5, arbitrary: fc.constant({ type: 'start' as const }) },
    { weight: 2, arbitrary: fc.constant({ type: 'begin' as const }) },
    { weight: 4, arbitrary: fc.constant({ type: 'turn' as const }) },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom('break' as const, 'wait' as const, 'old-word' as const),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('crash' as const), wordFirst: fc.boolean() }),
    },
    { weight: deaths, arbitrary: fc.record({ type: fc.constant('die' as const) }) },
  );

async function take(world: World, current: Step): Promise<void> {
  switch (current.type) {
    case 'submit':
      return world.submit(current.retries);
    case 'answer':
      return world.current?.answer(current.pick);
    case 'start':
      return world.start();
    case 'begin':
      return world.begin();
    case 'die':
      return world.die();
    case 'break':
      return world.current?.break();
    case 'turn':
      return world.turn();
    case 'wait':
      return world.turn(200);
    case 'old-word':
      return world.sayAgain();
    case 'crash':
      return world.crash(current.wordFirst);
  }
}

/** What holds at the end of any history. */
function check(world: World, died: boolean): void {
  expect([world.caller.unfinishedCalls, world.pendingWork]).toEqual([0, 0]);
  // Whatever it may have spoken to, and the head cannot know of.
  expect(world.lived).toEqual(world.unheard);
  for (const { arrived } of world.channels) {
    // On one connection calls arrive in the order in which they were made, each once.
    expect(arrived).toEqual([...new Set(arrived)].toSorted((a, b) => a - b));
  }
  world.calls.forEach(({ call, retries }, index) => {
    const times = world.arrivals(index);
    expect(call.phase).toBe('done');
    if (retries >= 0) expect(times).toBeLessThanOrEqual(retries + 1);
    if (call.state === REF_STATE.ready) {
      expect([call.value(), times > 0]).toEqual([index, true]);
      return;
    }
    expect(call.state).toBe(REF_STATE.failed);
    const { name } = call.content as Error;
    if (name === 'ActorDiedError') expect(died).toBe(true);
    else {
      // It failed only after all the attempts that it was allowed.
      expect([name, times]).toEqual(['ActorUnavailableError', retries + 1]);
    }
  });
}

describe('calls to one actor', () => {
  it.each([
    ['that restarts whenever it crashes', 0],
    ['that may die', 1],
  ])('%s: each settles once, in order, after exactly so many attempts', async (_what, deaths) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step(deaths), { minLength: 5, maxLength: 60, size: 'max' }),
        async (steps) => {
          const world = new World();
          for (const current of steps) await take(world, current);
          await world.settle();
          check(
            world,
            steps.some(({ type }) => type === 'die'),
          );
        },
      ),
      { numRuns: 400 },
    );
  });

  it('tries ten times a second while the head still believes in a process that is gone', async () => {
    const world = new World();
    world.submit(-1);
    await world.turn();
    world.start();
    await world.turn();
    world.isUnreachable = true;
    world.current?.break();
    const before = world.attempts;
    for (let waitedMs = 0; waitedMs < 1_000; waitedMs += 10) await world.turn(10);
    expect(world.attempts - before).toBeGreaterThanOrEqual(9);
    expect(world.attempts - before).toBeLessThanOrEqual(11);
    world.isUnreachable = false;
    await world.settle();
    check(world, false);
  });

  it('fail while the process there refuses the handshake, and each one tries anew', async () => {
    const world = new World();
    world.isRefused = true;
    world.submit(0);
    world.start();
    await world.turn();
    world.submit(-1);
    await world.turn();
    for (const { call } of world.calls)
      await expect(call).rejects.toMatchObject({ name: 'AuthenticationError' });
    expect([world.attempts, world.pendingWork]).toEqual([2, 0]);
    world.isRefused = false;
    world.submit(0);
    await world.turn();
    world.current?.answer(0);
    expect(await world.calls[2]?.call).toBe(2);
  });

  it('all succeed when nothing is lost', async () => {
    const world = new World();
    for (let index = 0; index < 100; index += 1) world.submit(0);
    await world.settle();
    expect(await Promise.all(world.calls.map(({ call }) => call))).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    );
    check(world, false);
  });
});

describe('an actor whose process says that it has begun before the head does', () => {
  it('is called at once, and what the head says later of that life changes nothing', async () => {
    const world = new World();
    world.submit(0);
    world.begin();
    await world.turn();
    world.sayAgain();
    world.caller.core.actors.refresh(actorId);
    await world.turn();
    world.current?.answer(0);
    expect(await world.calls[0]?.call).toBe(0);
    world.start();
    await world.turn();
    expect([world.attempts, world.channels.length]).toEqual([1, 1]);
  });

  it('was spoken to: when it goes before the head has heard of it, the head is told', async () => {
    const world = new World();
    world.submit(0);
    world.begin();
    await world.turn();
    world.crash(false);
    expect(world.lived).toEqual([0]);
    await world.settle();
    expect(world.calls[0]?.call.content).toMatchObject({ name: 'ActorUnavailableError' });
    check(world, false);
  });

  it('says nothing new of a life that the head has left behind, nor when it is dead', async () => {
    const world = new World();
    world.start();
    world.crash(true);
    const attempts = world.attempts;
    world.caller.begun(0, { processId: 'p_0' } as unknown as ProcessAddress);
    await world.turn();
    world.die();
    world.caller.begun(1, { processId: 'p_1' } as unknown as ProcessAddress);
    await world.turn();
    expect(world.attempts).toBe(attempts);
  });
});

it('a call that is cancelled leaves nothing waiting for its arguments', () => {
  const world = new World();
  const argument = new ObjectRef<unknown>(world.caller.core.runtime);
  const kept = world.caller.submit(method, [argument]);
  const cancelled = world.caller.submit(method, [argument, argument]);
  world.caller.cancel(cancelled, 'cancelled');
  expect(cancelled.state).toBe(REF_STATE.failed);
  expect([argument.waiters].flat()).toHaveLength(1);
  expect(kept.phase).toBe('waiting-for-dependencies');
  world.caller.cancel(kept, 'cancelled');
  expect([argument.waiters].flat().filter((waiter) => waiter !== undefined)).toEqual([]);
});
