import {
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import type { ObjectTable } from '../objects/object-table.ts';

/** What others hold of the object goes to a ref that this process alone knows; the given one is done with. */
export function bequeath(ref: AnyObjectRef, table: ObjectTable, runtime: RefOwnerRuntime): void {
  const heir: AnyObjectRef = new ObjectRef<unknown>(runtime);
  heir.objectId = ref.objectId;
  table.replace(ref, heir);
  if (ref.state === REF_STATE.pending) ref.addWaiter({ settled: () => inherit(ref, heir) });
  else inherit(ref, heir);
}

/**
 * Called without a closure where that can be: the error that `ref` fails with keeps the functions on its stack, and with
 * a closure what that holds. The heir, and its value, would then live as long as the ref that was disposed of.
 */
function inherit(ref: AnyObjectRef, heir: AnyObjectRef): void {
  if (ref.state === REF_STATE.failed) heir.reject(ref.content);
  else heir.resolve(ref.content as never);
  ref.discard();
}
