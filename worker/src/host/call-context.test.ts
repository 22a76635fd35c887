import { describe, expect, it } from 'vitest';
import { CallContext } from './call-context.ts';
import type { IncomingCall } from './incoming-call.ts';

const callOf = (isolation: 'process' | 'shared', name: string): IncomingCall =>
  ({ spec: { isolation, name } }) as unknown as IncomingCall;

/** Runs a method that asks for its context after an await, as one of several calls. */
function askLater(context: CallContext, call: IncomingCall): Promise<IncomingCall | undefined> {
  const method = async (): Promise<IncomingCall | undefined> => {
    await Promise.resolve();
    return context.current();
  };
  const asked = context.apply(call, false, method, undefined, []);
  context.leave();
  return asked;
}

describe('CallContext', () => {
  it('knows no call while the module of the actor loads', () => {
    expect(new CallContext().current()).toBeUndefined();
  });

  it('knows the actor when it is first asked after an await, and then every call', async () => {
    const context = new CallContext();
    const constructing = callOf('process', 'constructor');
    context.apply(constructing, false, () => undefined, undefined, []);
    context.leave();
    expect(await askLater(context, callOf('process', 'first'))).toBe(constructing);
    const calls = [callOf('process', 'second'), callOf('process', 'third')];
    expect(await Promise.all(calls.map((call) => askLater(context, call)))).toEqual(calls);
  });

  it('tells actors in one process apart from the start, and takes no loading module for one', async () => {
    const context = new CallContext();
    const calls = [callOf('shared', 'a'), callOf('shared', 'b')];
    expect(await Promise.all(calls.map((call) => askLater(context, call)))).toEqual(calls);
    expect(context.current()).toBeUndefined();
  });
});
