import { defineInHost, type ActorConstructor } from '@manta/runtime/actor/host-context';
import { actorHandle } from '@manta/runtime/core/actor-handle';
import {
  encodeConstructorArguments,
  type ConstructorArguments,
} from '@manta/runtime/core/constructor-arguments';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { ActorCaller } from '@manta/runtime/rpc/actor-caller';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import { LIMITS } from '@manta/runtime/wire/limits';
import type { ActorSpec, ClassReference, MethodEntry } from '@manta/runtime/wire/messages';
import { checkActorOptions, isName, specFrom } from './actor-options.ts';
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
  if (typeof actorClass !== 'function' || !isName(actorClass.name)) {
    throw new InvalidArgumentError(
      `defineActor needs a class with a name of up to ${LIMITS.nameLength} characters as its second argument.`,
    );
  }
  checkActorOptions(options);
  const exportKey = nameDefinition(meta.url, actorClass.name);
  defineInHost(meta.url, exportKey, actorClass as unknown as ActorConstructor);
  const definition: Definition = {
    className: actorClass.name,
    reference: { moduleUrl: meta.url, exportKey },
    methods: methodsOf(actorClass),
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

/**
 * Public methods, inherited ones included, in an order that is the same in every process.
 * @throws InvalidArgumentError
 */
function methodsOf(actorClass: { name: string; prototype: unknown }): MethodEntry[] {
  const methods = new Map<string, boolean>();
  for (
    let prototype = actorClass.prototype as object | null;
    prototype !== null && prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      const value: unknown = property.value;
      if (name === 'constructor' || typeof value !== 'function' || methods.has(name)) continue;
      methods.set(name, GENERATORS.has(value.constructor.name));
    }
  }
  if (methods.size > LIMITS.methods || ![...methods.keys()].every(isName)) {
    throw new InvalidArgumentError(
      `${actorClass.name} cannot be an actor class: it has ${methods.size} public methods, at most ${LIMITS.methods} ` +
        `can be called, with names of up to ${LIMITS.nameLength} characters.`,
    );
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
  const encoded = encodeConstructorArguments(args, session.core);
  const caller = session.core.actors.create(spec);
  const handle = actorHandle(session.core, caller, definition.methods);
  if (encoded instanceof Promise) void createWhenReady(session, spec, caller, args, encoded);
  else submitWith(session, spec, caller, encoded);
  return handle;
}

function submitWith(
  session: SdkSession,
  spec: ActorSpec,
  caller: ActorCaller,
  { encodedArgs, openedArgs, pins }: ConstructorArguments,
): void {
  session.core.actors.submitCreation({ ...spec, encodedArgs, openedArgs }, caller, pins);
}

/** Its actor is known already while the creator waits for refs among the arguments, or for room for large ones. */
async function createWhenReady(
  session: SdkSession,
  spec: ActorSpec,
  caller: ActorCaller,
  args: readonly unknown[],
  encoded: Promise<ConstructorArguments>,
): Promise<void> {
  const { actors } = session.core;
  const { actorId } = spec;
  actors.submitWithoutArguments(spec, caller, args);
  try {
    const { encodedArgs, openedArgs, pins } = await encoded;
    const whole = { ...spec, encodedArgs, openedArgs };
    await actors.sendArguments({ actorId, spec: whole }, caller, pins);
  } catch (error) {
    caller.failCreation(error as never);
    const message = `An argument of its constructor failed with ${(error as Error).name}.`;
    const cause = { kind: 'constructor-failed', message };
    const encodedError = encodeError(error);
    const isTooLong = encodedError.byteLength > LIMITS.encodedErrorBytes;
    const failure = isTooLong ? { cause } : { cause, encodedError };
    await actors.sendArguments({ actorId, failure }, caller);
  }
}
