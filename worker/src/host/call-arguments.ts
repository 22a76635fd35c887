import type { CoreProcess } from '@manta/runtime/core/core-process';
import { ProtocolError } from '@manta/runtime/errors/errors';
import type { ProcessId } from '@manta/runtime/ids';
import { rawPayload, rawValue } from '@manta/runtime/objects/payload';
import { isStoredRecord, StoredValue } from '@manta/runtime/objects/stored-value';
import type { CallRecordOptions } from '@manta/runtime/rpc/records';

/** What a call record says of its arguments. */
export interface ReceivedArguments {
  /** Becomes the arguments, in place. */
  args: unknown[];
  options: CallRecordOptions | null | undefined;
  firstSegment: unknown;
  segments: readonly Uint8Array[];
  /** What they take in this process's heap, as far as it is worth counting: set by `decodeArguments`. */
  heapBytes: number;
}

/** Shorter texts are not counted: so many calls as may wait take little with them. */
const COUNTED_LENGTH_MIN = 1_024;

/**
 * Decodes the arguments of a call in place. A promise: large ones must be brought to this node first.
 * @throws ProtocolError, ObjectLostError: the call cannot run.
 */
export function decodeArguments(
  core: CoreProcess,
  sender: ProcessId,
  received: ReceivedArguments,
): Promise<void> | undefined {
  const { args, options } = received;
  for (const arg of args) {
    if (typeof arg === 'string') countText(arg, received);
    if (typeof arg !== 'object' || (arg === null && options == null)) continue;
    const hasStored = core.objects.receivingFrom(sender, () => decode(core, sender, received));
    return hasStored ? openStored(core, args) : undefined;
  }
  return undefined;
}

function countText(text: string, received: ReceivedArguments): void {
  if (text.length >= COUNTED_LENGTH_MIN) received.heapBytes += text.length;
}

/** Brings the refs in the arguments to life and no more: who lent them learns when they are collected. */
export function takeLent(core: CoreProcess, sender: ProcessId, received: ReceivedArguments): void {
  try {
    core.objects.receivingFrom(sender, () => decode(core, sender, received));
  } catch {
    // They cannot be decoded, and so hold no refs; the call is refused already.
  }
}

/** True when some stand for values in the store. */
function decode(core: CoreProcess, sender: ProcessId, received: ReceivedArguments): boolean {
  const { args, options, firstSegment, segments } = received;
  for (const [index, segment] of options?.[3] ?? []) {
    args[index] = segments[(firstSegment as number) + segment];
    if (args[index] === undefined)
      throw new ProtocolError('A call names a segment its frame does not have.');
  }
  let hasStored = false;
  received.heapBytes = 0;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index];
    if (typeof arg === 'string') countText(arg, received);
    if (typeof arg !== 'object' || arg === null) continue;
    if (arg instanceof Uint8Array) {
      received.heapBytes += arg.byteLength;
      args[index] = core.codec.decode(arg);
    } else if (Array.isArray(arg) && isStoredRecord(arg)) {
      args[index] = core.values.receive(arg, sender);
      hasStored = true;
    } else {
      args[index] = decodeRaw(arg);
    }
  }
  return hasStored;
}

function decodeRaw(arg: object): unknown {
  const raw = Array.isArray(arg) ? rawPayload(arg) : undefined;
  if (raw === undefined) throw new ProtocolError('A call with an argument that is not encoded.');
  return rawValue(raw);
}

function openStored(core: CoreProcess, args: unknown[]): Promise<void> | undefined {
  const missing: Promise<void>[] = [];
  args.forEach((arg, index) => {
    if (!(arg instanceof StoredValue)) return;
    const decoded = core.values.decodeStored(arg);
    if (decoded !== undefined) {
      args[index] = decoded.value;
      return;
    }
    missing.push(
      core.values.load(arg).then((value) => {
        args[index] = value;
      }),
    );
  });
  return missing.length === 0 ? undefined : Promise.all(missing).then(() => undefined);
}
