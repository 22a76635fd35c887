import { InvalidArgumentError } from '../errors/errors.ts';
import { STORED_BYTES_MIN } from '../objects/blob.ts';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { isPrimitive, Payload } from '../objects/payload.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { holdArguments, pendingDependencies, releaseArguments } from '../rpc/arguments.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { ValueCodec } from '../serialization/value-codec.ts';
import { joinParts } from '../serialization/value-parts.ts';
import { LIMITS } from '../wire/limits.ts';
import { messageBytes } from '../wire/message-size.ts';
import type { OwnedObjects } from './owned-objects.ts';

/** Small arguments go inside the specification up to so many bytes in all; what is more goes as refs. */
const INLINE_BYTES_MAX = 1024 * 1024;

/** The arguments of a constructor as its specification says them. */
export interface ConstructorArguments {
  readonly encodedArgs: Uint8Array;
  /** Those that stand there as refs, of which the constructor gets the values. */
  readonly openedArgs: number[] | undefined;
  /** The refs and handles inside: held as long as the constructor may run. */
  readonly pins: readonly Transferable[];
}

interface ArgumentsCore {
  readonly codec: ValueCodec;
  readonly owned: OwnedObjects;
  unpin(pins: readonly Transferable[]): void;
}

/**
 * Serialises the arguments now. The specification passes the head and is kept there, so large values stay where they
 * are and are opened on the actor's node. A promise: refs among them whose values are awaited, or room for large ones.
 * @throws SerializationError naming the path of what cannot be sent. ObjectStoreFullError
 */
export function encodeConstructorArguments(
  args: readonly unknown[],
  core: ArgumentsCore,
): ConstructorArguments | Promise<ConstructorArguments> {
  if (!args.some(isObjectRef)) {
    const { parts, sizeBytes, transferables } = core.codec.encodeParts(args, 'args');
    if (sizeBytes < STORED_BYTES_MIN) {
      const encodedArgs = joinParts(parts, sizeBytes);
      return { encodedArgs, openedArgs: undefined, pins: transferables };
    }
    core.unpin(transferables);
  }
  const refs = args.map((arg, index) =>
    isObjectRef(arg) ? arg : core.owned.put(arg, `args[${index}]`),
  );
  if (
    refs.every(({ state }) => state === REF_STATE.ready) &&
    pendingDependencies(refs).length === 0
  )
    return encodeReady(refs, core);
  holdArguments(refs);
  return encodeWhenReady(refs, core);
}

async function encodeWhenReady(
  refs: readonly AnyObjectRef[],
  core: ArgumentsCore,
): Promise<ConstructorArguments> {
  try {
    let missing = refs;
    while (missing.length > 0) {
      await settled(missing);
      missing = pendingDependencies(refs);
    }
    return encodeReady(refs, core);
  } finally {
    releaseArguments(refs);
  }
}

/** Rejects with the error of the first that fails; the others are not waited for any more. */
function settled(refs: readonly AnyObjectRef[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = refs.length;
    let hasFailed = false;
    const waiter = {
      settled: ({ state, content }: AnyObjectRef): void => {
        missing -= 1;
        if (state === REF_STATE.failed) {
          hasFailed = true;
          for (const ref of refs) ref.removeWaiter(waiter);
          reject(content as Error);
        } else if (missing === 0) {
          resolve();
        }
      },
    };
    for (const ref of refs) {
      ref.addWaiter(waiter);
      // It had failed before.
      if (hasFailed) return;
    }
  });
}

function encodeReady(refs: readonly AnyObjectRef[], core: ArgumentsCore): ConstructorArguments {
  const openedArgs: number[] = [];
  let room = INLINE_BYTES_MAX;
  const values = refs.map((ref, index) => {
    const bytes = inlineBytes(ref.content);
    if (bytes < STORED_BYTES_MIN && bytes <= room) {
      room -= bytes;
      return ref.value();
    }
    openedArgs.push(index);
    return ref;
  });
  const { bytes: encodedArgs, transferables: pins } = core.codec.encode(values, 'args');
  if (encodedArgs.byteLength > LIMITS.specArgumentBytes) {
    core.unpin(pins);
    throw new InvalidArgumentError(
      `The refs and values of ${refs.length} constructor arguments take ${encodedArgs.byteLength} bytes; at most ` +
        `${LIMITS.specArgumentBytes} can be sent. Pass them as one list, or put() that and pass the ref.`,
    );
  }
  return { encodedArgs, openedArgs, pins };
}

/** What the value would take of a specification. */
function inlineBytes(content: unknown): number {
  if (content instanceof StoredValue) return content.blob.sizeBytes;
  if (content instanceof Payload) return content.bytes.byteLength;
  return isPrimitive(content) ? messageBytes(content) : 0;
}
