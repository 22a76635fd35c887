import { expect, it } from 'vitest';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ProcessId } from '@manta/runtime/ids';
import { FakeChannel } from '@manta/runtime/testing/fake-channel';
import { ManualClock } from '@manta/runtime/testing/manual-clock';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { ActorInstance } from './actor-instance.ts';
import { CallContext } from './call-context.ts';
import { IncomingCall } from './incoming-call.ts';

const GRACE_MS = 1_000;
const cause: DeathCause = { kind: 'stopped', message: 'It was stopped.' };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class SilentChannel extends FakeChannel {
  send(): void {}
}

/** An actor with one call that runs until it is let go, and a disposal that never ends. */
function startStubborn() {
  const clock = new ManualClock();
  const ends: DeathCause[] = [];
  let isDisposing = false;
  let letGo: () => void = () => undefined;
  class Stubborn {
    work(): Promise<void> {
      return new Promise((resolve) => (letGo = resolve));
    }
    [Symbol.asyncDispose](): Promise<void> {
      isDisposing = true;
      return new Promise(() => undefined);
    }
  }
  const spec = { actorId: 'a_1', className: 'Stubborn', gracefulShutdownMs: GRACE_MS };
  const instance = new ActorInstance({
    spec: { ...spec, isolation: 'process', maxConcurrency: 1 } as ActorSpec,
    incarnation: 0,
    gpuIds: [],
    core: { codec: { decode: () => [] } } as unknown as CoreProcess,
    clock,
    context: new CallContext(),
    onEnded: (end) => ends.push(end),
  });
  instance.construct(Stubborn);
  const channel = new SilentChannel('p_1' as ProcessId);
  instance.receive(new IncomingCall(instance, channel, 1, 'work', []));
  const pass = async (milliseconds: number): Promise<void> => {
    clock.advance(milliseconds);
    await turn();
  };
  return { instance, ends, pass, letGo: () => letGo(), isDisposing: () => isDisposing };
}

it('calls and disposal have one time together: calls that use it all leave none', async () => {
  const { instance, ends, pass, isDisposing } = startStubborn();
  instance.end(cause);
  await pass(GRACE_MS - 1);
  expect(isDisposing()).toBe(false);
  await pass(1);
  expect(isDisposing()).toBe(true);
  expect(ends).toEqual([cause]);
});

it('the disposal has what the calls have left', async () => {
  const { instance, ends, pass, isDisposing, letGo } = startStubborn();
  instance.end(cause);
  await pass(600);
  letGo();
  await turn();
  expect(isDisposing()).toBe(true);
  await pass(399);
  expect(ends).toEqual([]);
  await pass(1);
  expect(ends).toEqual([cause]);
});

it('one that exits does not wait for its calls, and disposes in all the time', async () => {
  const { instance, ends, pass, isDisposing } = startStubborn();
  expect(() => instance.exitActor()).toThrow();
  await pass(1);
  expect(isDisposing()).toBe(true);
  await pass(GRACE_MS - 2);
  expect(ends).toEqual([]);
  await pass(1);
  expect(ends).toMatchObject([{ kind: 'exited' }]);
});
