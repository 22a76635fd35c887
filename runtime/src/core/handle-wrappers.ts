import { ProtocolError } from '../errors/errors.ts';

type Wrap = (handle: object) => object;

/** On a registered symbol, so that a user's own copy of the SDK and the host see the same. */
const SLOT = Symbol.for('manta.handle-wrappers');

function wrappers(): Map<string, Wrap> {
  const slots = globalThis as unknown as Record<symbol, Map<string, Wrap> | undefined>;
  return (slots[SLOT] ??= new Map());
}

/** Objects that stand for one actor, as a Queue does, travel as its handle with this name. */
export function registerHandleWrapper(name: string, wrap: Wrap): void {
  wrappers().set(name, wrap);
}

/** @throws ProtocolError when nothing of that name is known here. */
export function wrapHandle(name: unknown, handle: object): object {
  const wrap = typeof name === 'string' ? wrappers().get(name) : undefined;
  if (wrap === undefined) throw new ProtocolError('An actor handle of an unknown form.');
  return wrap(handle);
}
