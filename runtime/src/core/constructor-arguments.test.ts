import { expect, it } from 'vitest';
import { ObjectRef, type RefOwnerRuntime } from '../objects/object-ref.ts';
import { encodeConstructorArguments } from './constructor-arguments.ts';

type Core = Parameters<typeof encodeConstructorArguments>[1];

const createRef = (): ObjectRef<unknown> => new ObjectRef<unknown>({} as RefOwnerRuntime);

it('a ref that has failed, or fails later, ends the waiting for the others', async () => {
  for (const failsBefore of [true, false]) {
    const [failing, pending] = [createRef(), createRef()];
    if (failsBefore) failing.reject(new Error('made by nobody'));
    const encoded = encodeConstructorArguments([failing, pending], {} as Core);
    if (!failsBefore) failing.reject(new Error('made by nobody'));
    await expect(encoded).rejects.toThrow('made by nobody');
    expect(pending.waiters).toBeUndefined();
  }
});
