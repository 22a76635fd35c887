import type { AnyObjectRef } from '../objects/object-ref.ts';
import type { Clock } from '../time/clock.ts';
import { ActorCall } from './actor-call.ts';
import type { ActorCaller } from './actor-caller.ts';
import { prepareArguments, refusedArguments, wireArguments } from './arguments.ts';
import { keyedStreamError, recordOptions, type CallOptions } from './call-options.ts';
import type { CallerCore, CancelOptions, MethodInfo } from './caller-core.ts';
import { holdUntilSettled } from './dependencies.ts';
import type { PeerConnection } from './peer-connection.ts';
import { RECORD } from './records.ts';

/** Ends the call at its deadline, or when its signal aborts; the result stops watching. */
export function watchCall(
  options: CallOptions,
  clock: Clock,
  end: (reason: 'cancelled' | 'timeout') => void,
): () => void {
  const { signal, timeoutMs } = options;
  const undo: (() => void)[] = [];
  if (timeoutMs !== undefined) {
    undo.push(clock.after(timeoutMs, () => end('timeout')));
  }
  if (signal !== undefined) {
    const abort = (): void => end('cancelled');
    signal.addEventListener('abort', abort, { once: true });
    undo.push(() => signal.removeEventListener('abort', abort));
  }
  return () => undo.forEach((step) => step());
}

/**
 * The call, and the refs among its arguments that are not ready.
 * @throws SerializationError, ObjectStoreFullError; InvalidArgumentError when a stream is to be had twice.
 */
export function prepareCall(
  caller: ActorCaller,
  method: MethodInfo,
  args: unknown[],
  options: CallOptions | undefined,
): { call: ActorCall; dependencies: readonly AnyObjectRef[] } {
  if (method.stream && options?.idempotencyKey !== undefined)
    throw keyedStreamError(`${caller.className}.${method.name}`);
  const retries = options?.maxTaskRetries ?? caller.settings.maxTaskRetries;
  const { values, pins, dependencies } = prepareArguments(args, caller.core);
  const call = new ActorCall(caller, method, values, retries);
  call.options = options;
  if (pins.length > 0) call.pins = pins;
  if (options !== undefined)
    call.unlisten = watchCall(options, caller.core.clock, (reason) => caller.cancel(call, reason));
  return { call, dependencies };
}

/** Holds the call back until every ref among its arguments is there. */
export function awaitDependencies(
  call: ActorCall,
  dependencies: readonly AnyObjectRef[],
  onReady: () => void,
): void {
  call.phase = 'waiting-for-dependencies';
  holdUntilSettled(call, dependencies, () => {
    if (call.phase !== 'waiting-for-dependencies') return;
    call.phase = 'queued';
    onReady();
  });
}

/** Puts the call on the wire. It keeps its arguments until it is over: one that is refused, and so did not run, goes again. */
export function sendCall(
  call: ActorCall,
  connection: PeerConnection,
  port: number,
  core: CallerCore,
): void {
  const values = call.values as unknown[];
  call.phase = 'sent';
  call.connection = connection;
  call.number = connection.expect(call);
  if (call.plain) {
    connection.channel.send([RECORD.call, port, call.number, call.method.number, values]);
    return;
  }
  const refused = refusedArguments(values);
  if (refused !== undefined) {
    connection.forget(call.number);
    call.fail(refused.error);
    return;
  }
  const receiver = connection.channel.peer.processId;
  if (call.pins !== undefined) core.lend(call.pins, receiver);
  const { args, segments, segmentArguments } = wireArguments(values, core, receiver);
  const options = recordOptions(call.options, segmentArguments, call.isRetry);
  call.isRetry = false;
  connection.channel.send(
    [RECORD.call, port, call.number, call.method.number, args, options],
    segments,
  );
}

/** Whoever has the call, or task, is told that nobody wants its result any more. */
export function sendCancel(
  connection: PeerConnection | undefined,
  number: number,
  reason: 'cancelled' | 'timeout',
  { force = false, recursive = true }: CancelOptions,
): void {
  connection?.channel.send([RECORD.cancel, number, reason, recursive, force]);
}

/** Takes back what this caller sent over that connection and got no answer to, in the order in which it was sent. */
export function takeSent(
  caller: ActorCaller,
  connection: PeerConnection | undefined,
  afterNumber = 0,
): ActorCall[] {
  const isOurs = (reply: unknown): reply is ActorCall =>
    reply instanceof ActorCall && reply.caller === caller && reply.number > afterNumber;
  return connection?.takeBack(isOurs) ?? [];
}
