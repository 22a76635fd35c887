import { hostContext, type ActorConstructor } from '@manta/runtime/actor/host-context';
import { actorHandle } from '@manta/runtime/core/actor-handle';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { isObjectRef } from '@manta/runtime/objects/object-ref';
import type { ActorCaller } from '@manta/runtime/rpc/actor-caller';
import { holdArguments, releaseArguments } from '@manta/runtime/rpc/arguments';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import type { ActorSpec, ClassReference, MethodEntry } from '@manta/runtime/wire/messages';
import { checkActorOptions, specFrom } from './actor-options.ts';
import { nameDefinition } from './definition-names.ts';
import { currentSession, type SdkSession } from './session.ts';
import type { ActorClass, ActorHandle, ActorOptions, WithRefs } from './types.ts';

interface Definition {
  className: string;
  reference: ClassReference;
  methods: MethodEntry[];
}

/**
 * Makes a class an actor class. `meta` is `import.meta` of the module that defines it: worker nodes load that module
 * to find the class.
 * @throws InvalidArgumentError when an argument or option is not what it must be.
 */
export function defineActor<A extends object, Args extends unknown[]>(
  meta: ImportMeta,
  actorClass: new (...args: Args) => A,
  options: ActorOptions = {},
): ActorClass<A, Args> {
  if (typeof meta?.url !== 'string') {
    throw new InvalidArgumentError(
      'defineActor needs import.meta of the module that defines the class as its first argument.',
    );
  }
  if (typeof actorClass !== 'function' || actorClass.name === '') {
    throw new InvalidArgumentError('defineActor needs a class with a name as its second argument.');
  }
  checkActorOptions(options);
  const exportKey = nameDefinition(meta.url, actorClass.name);
  hostContext()?.define(meta.url, exportKey, actorClass as unknown as ActorConstructor);
  const definition: Definition = {
    className: actorClass.name,
    reference: { moduleUrl: meta.url, exportKey },
    methods: methodsOf(actorClass.prototype as object),
  };
  return actorClassOf(definition, options);
}

function actorClassOf<A extends object, Args extends unknown[]>(
  definition: Definition,
  options: ActorOptions,
): ActorClass<A, Args> {
  return {
    create: (...args: WithRefs<Args>) => createActor(definition, options, args) as ActorHandle<A>,
    options: (more) => actorClassOf(definition, { ...options, ...checkActorOptions(more) }),
  };
}

const GENERATORS = new Set(['GeneratorFunction', 'AsyncGeneratorFunction']);

/** Public methods, inherited ones included, in an order that is the same in every process. */
function methodsOf(actorPrototype: object): MethodEntry[] {
  const methods = new Map<string, boolean>();
  for (
    let prototype: object | null = actorPrototype;
    prototype !== null && prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      const value: unknown = property.value;
      if (name === 'constructor' || typeof value !== 'function' || methods.has(name)) continue;
      methods.set(name, GENERATORS.has(value.constructor.name));
    }
  }
  return [...methods].map(([name, stream]) => ({ name, stream }));
}

function createActor(
  definition: Definition,
  options: ActorOptions,
  args: readonly unknown[],
): object {
  const session = currentSession();
  const spec = specFrom(definition, options, session);
  const caller = session.core.actors.create(spec);
  const handle = actorHandle(session.core, caller, definition.methods);
  if (args.some(isObjectRef)) void createWhenReady(session, spec, caller, args);
  else submitWith(session, spec, caller, args);
  return handle;
}

function submitWith(
  session: SdkSession,
  spec: ActorSpec,
  caller: ActorCaller,
  args: readonly unknown[],
): void {
  const { bytes, transferables } = session.core.codec.encode(args, 'args');
  caller.constructorPins = transferables;
  session.core.actors.submitCreation({ ...spec, encodedArgs: bytes }, caller);
}

/** Refs at the top level are awaited, while the actor is known already; the other arguments are taken as they are now. */
async function createWhenReady(
  session: SdkSession,
  spec: ActorSpec,
  caller: ActorCaller,
  args: readonly unknown[],
): Promise<void> {
  const { actors, codec } = session.core;
  const { actorId } = spec;
  holdArguments(args);
  actors.submitWithoutArguments(spec, caller, args);
  try {
    const taken = args.map((arg, index) =>
      isObjectRef(arg) ? arg : codec.encode([arg], `args[${index}]`).bytes,
    );
    const values = await Promise.all(
      taken.map(async (arg) =>
        isObjectRef(arg) ? await arg : (codec.decode(arg) as unknown[])[0],
      ),
    );
    const { bytes, transferables } = codec.encode(values, 'args');
    caller.constructorPins = transferables;
    await actors.sendArguments({ actorId, spec: { ...spec, encodedArgs: bytes } }, caller);
  } catch (error) {
    caller.failCreation(error as never);
    const message = `An argument of its constructor failed with ${(error as Error).name}.`;
    const cause = { kind: 'constructor-failed', message };
    const failure = { cause, encodedError: encodeError(error) };
    await actors.sendArguments({ actorId, failure }, caller);
  } finally {
    releaseArguments(args);
  }
}
