import { expect, it } from 'vitest';
import { ObjectRef, type RefOwnerRuntime } from '../objects/object-ref.ts';
import { isPrimitive, Payload } from '../objects/payload.ts';
import { LIMITS } from '../wire/limits.ts';
import { refusedArguments, wireArguments } from './arguments.ts';

const MIB = 1024 * 1024;
const payload = (bytes: number): Payload => new Payload(new Uint8Array(bytes));
function refTo(content: Payload): ObjectRef<unknown> {
  const ref = new ObjectRef<unknown>({} as RefOwnerRuntime);
  ref.resolve(content);
  return ref;
}

it('refuses arguments that do not fit into one message together, and says what to do', () => {
  expect(refusedArguments([payload(60 * MIB), 'text', refTo(payload(50 * MIB))])).toBeUndefined();
  const refused = refusedArguments([payload(60 * MIB), refTo(payload(61 * MIB))]);
  expect(refused?.error).toMatchObject({ name: 'SerializationError', path: 'args' });
  expect(String(refused?.error)).toContain('put()');
});

it('says first that an argument has failed', () => {
  const failed = new ObjectRef<unknown>({} as RefOwnerRuntime);
  failed.reject(new Error('made by nobody'));
  const refused = refusedArguments([payload(121 * MIB), failed]);
  expect(refused?.error).toMatchObject({ message: 'made by nobody' });
});

it('attaches no more than a frame may have', () => {
  const one = payload(16 * 1024);
  const values = Array.from({ length: 5_000 }, () => one);
  const sender = { describe: () => undefined as never, lend: () => undefined };
  const { segments, args } = wireArguments(values, sender, 'p_receiver' as never);
  expect(segments?.length).toBeLessThan(LIMITS.frameSegments);
  expect(args).toHaveLength(5_000);
});

it('treats a long text like any other value', () => {
  expect(isPrimitive('x'.repeat(32 * 1024))).toBe(true);
  expect(isPrimitive('x'.repeat(32 * 1024 + 1))).toBe(false);
});
