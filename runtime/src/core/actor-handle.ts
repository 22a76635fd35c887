import { inspect } from 'node:util';
import * as v from 'valibot';
import { InvalidArgumentError, ProtocolError } from '../errors/errors.ts';
import { parseId, type ActorId } from '../ids.ts';
import type { ActorCall } from '../rpc/actor-call.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { callerSettings, changedSettings, type MethodInfo } from '../rpc/caller-core.ts';
import type { CallOptions } from '../rpc/call-options.ts';
import type { ObjectRefStream } from '../rpc/object-ref-stream.ts';
import { TRANSFERABLE, type Transferable } from '../serialization/transferable.ts';
import { CallSettings, type MethodEntry } from '../wire/messages.ts';
import type { CoreProcess } from './core-process.ts';
import { wrapHandle } from './handle-wrappers.ts';

/** What is behind a handle. Not enumerable, and not reachable by a name that a method could have. */
const TARGET: unique symbol = Symbol('manta.handle');
const METHODS: unique symbol = Symbol('manta.methods');

export interface HandleTarget {
  core: CoreProcess;
  caller: ActorCaller;
  methods: MethodEntry[];
}

interface Handle {
  [TARGET]: HandleTarget;
  [METHODS]: (RemoteMethodFunction | undefined)[];
}

export interface RemoteMethodFunction {
  (...args: unknown[]): ActorCall | ObjectRefStream<unknown>;
  options(options: CallOptions): RemoteMethodFunction;
}

/** The properties of all handles of one class: defined once, shared by every handle. */
const shapes = new Map<string, PropertyDescriptorMap>();
const MAX_SHAPES = 10_000;

const collected = new FinalizationRegistry<{ core: CoreProcess; caller: ActorCaller }>(
  ({ core, caller }) => core.handleDropped(caller),
);

/**
 * A handle has one enumerable property per public method and nothing else that can be seen: no `then`, so it can be
 * returned from async functions. The methods are getters that all handles of a class share; the function behind one is
 * made when it is first used, so a handle that is only passed on costs next to nothing.
 */
export function actorHandle(
  core: CoreProcess,
  caller: ActorCaller,
  methods: MethodEntry[],
): object {
  const handle = Object.create(handlePrototype) as Handle;
  Object.defineProperty(handle, TARGET, { value: { core, caller, methods } });
  Object.defineProperty(handle, METHODS, { value: [] });
  Object.defineProperties(handle, shapeOf(caller.className, methods));
  core.handleMade(caller);
  collected.register(handle, { core, caller });
  return handle;
}

/** A handle, or what travels as one, from the data that another process sent. @throws ProtocolError */
export function createActorHandle(core: CoreProcess, data: unknown): object {
  const { actorId, className, methods, settings, form } = (data ?? {}) as Record<string, unknown>;
  const id = parseId('actor', actorId);
  if (id === undefined || typeof className !== 'string' || !Array.isArray(methods)) {
    throw new ProtocolError('A malformed actor handle.');
  }
  const entries = methods.map((entry: unknown): MethodEntry => {
    const [name, stream] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof name !== 'string') throw new ProtocolError('A malformed actor handle.');
    return { name, stream: stream === true };
  });
  const caller = core.actors.hold(callerSettings(id, className, settingsFrom(settings)));
  const handle = actorHandle(core, caller, entries);
  return form === undefined ? handle : wrapHandle(form, handle);
}

/** Most handles carry none. @throws ProtocolError */
function settingsFrom(settings: unknown): CallSettings {
  if (settings === undefined) return {};
  const { success, output } = v.safeParse(CallSettings, settings);
  if (!success) throw new ProtocolError('An actor handle with malformed settings.');
  return output;
}

/** How an object that stands for one actor travels: as its handle, and in this form again on the other side. */
export function transferAs(
  form: string,
  handle: object,
): ReturnType<Transferable[typeof TRANSFERABLE]> {
  const { kind, data } = (handle as Handle & Transferable)[TRANSFERABLE]();
  return { kind, data: { ...(data as object), form } };
}

const handlePrototype = {
  [TRANSFERABLE](this: Handle) {
    const { caller, methods } = this[TARGET];
    const settings = changedSettings(caller.settings);
    return {
      kind: 'handle' as const,
      data: {
        actorId: caller.actorId,
        className: caller.className,
        methods: methods.map(({ name, stream }) => [name, stream]),
        ...(settings === undefined ? {} : { settings }),
      },
    };
  },
  [inspect.custom]: textOf,
  toJSON: textOf,
};
Object.defineProperty(handlePrototype, TRANSFERABLE, { enumerable: false });
Object.defineProperty(handlePrototype, inspect.custom, { enumerable: false });
Object.defineProperty(handlePrototype, 'toJSON', { enumerable: false });

function textOf(this: Handle): string {
  const { caller } = this[TARGET];
  return `ActorHandle(${caller.className}, ${caller.actorId})`;
}

function shapeOf(className: string, methods: MethodEntry[]): PropertyDescriptorMap {
  const key = `${className}\n${methods.map(({ name, stream }) => `${name}${stream ? '*' : ''}`).join('\n')}`;
  let shape = shapes.get(key);
  if (shape === undefined) {
    shape = {};
    methods.forEach(({ name, stream }, number) => {
      const method: MethodInfo = { name, number, stream };
      (shape as PropertyDescriptorMap)[name] = {
        enumerable: true,
        get(this: Handle) {
          return (this[METHODS][number] ??= remoteMethod(this[TARGET].caller, method, undefined));
        },
      };
    });
    if (shapes.size < MAX_SHAPES) shapes.set(key, shape);
  }
  return shape;
}

function remoteMethod(
  caller: ActorCaller,
  method: MethodInfo,
  options: CallOptions | undefined,
): RemoteMethodFunction {
  const submit =
    options === undefined
      ? (args: unknown[]) => caller.submit(method, args)
      : (args: unknown[]) => caller.submitWith(method, args, options);
  const call = (method.stream
    ? (...args: unknown[]) => submit(args).openStream()
    : (...args: unknown[]) => submit(args)) as unknown as RemoteMethodFunction;
  call.options = (more) => remoteMethod(caller, method, { ...options, ...more });
  return call;
}

export function isActorHandle(value: unknown): boolean {
  return typeof value === 'object' && value !== null && TARGET in value;
}

/** @throws InvalidArgumentError when it is not a handle. */
export function targetOf(handle: unknown): HandleTarget {
  if (!isActorHandle(handle)) throw new InvalidArgumentError('Not an actor handle.');
  return (handle as Handle)[TARGET];
}

export function actorIdOf(handle: unknown): ActorId {
  return targetOf(handle).caller.actorId;
}
