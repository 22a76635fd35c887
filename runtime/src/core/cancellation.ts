import type { ChannelRecord } from '../channel/channel.ts';
import { ProtocolError } from '../errors/errors.ts';
import { parseId, type ObjectId } from '../ids.ts';
import { DurableRef } from '../objects/durable-ref.ts';
import { REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { ActorCall } from '../rpc/actor-call.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import type { CancelOptions } from '../rpc/caller-core.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { TaskCall } from '../tasks/task-call.ts';
import type { ProcessAddress } from '../wire/messages.ts';

interface CancellingCore {
  readonly objects: { readonly table: { known(id: ObjectId): AnyObjectRef | undefined } };
  readonly lineage: {
    describe(ref: AnyObjectRef): { attempt: AnyObjectRef | undefined } | undefined;
  };
  readonly actors: { callers(): readonly ActorCaller[] };
  readonly tasks: { unfinished(): TaskCall[] };
  connect(address: ProcessAddress): Promise<PeerConnection>;
}

/** Ends calls before their time: those of this process, and by their owners those of others. */
export class Cancellation {
  readonly #core: CancellingCore;

  constructor(core: CancellingCore) {
    this.#core = core;
  }

  /** Does nothing to what is no call, or is over. */
  cancel(ref: AnyObjectRef, options: CancelOptions): void {
    if (ref.owner !== undefined) {
      this.#askOwner(ref, ref.owner, options);
      return;
    }
    // The call that makes a lost value again, else the one that makes it.
    const call = this.#core.lineage.describe(ref)?.attempt ?? ref;
    if (call instanceof TaskCall) call.task.submitter.cancel(call, options);
    else if (call instanceof ActorCall) call.caller.cancel(call, 'cancelled', options);
  }

  #askOwner(ref: AnyObjectRef, owner: ProcessAddress, options: CancelOptions): void {
    // A durable object was put, not called for.
    if (ref.state !== REF_STATE.pending || ref instanceof DurableRef) return;
    const { force = false, recursive = true } = options;
    this.#core.connect(owner).then(
      ({ channel }) => channel.send([RECORD.cancelRef, ref.id, force, recursive]),
      () => undefined, // The owner is gone, and the call with it.
    );
  }

  /** Handles a borrower's wish; false: the record is another one. */
  receive([kind, objectId, force, recursive]: ChannelRecord): boolean {
    if (kind !== RECORD.cancelRef) return false;
    const id = parseId('object', objectId);
    if (id === undefined) throw new ProtocolError('A record cancelRef without an object id.');
    const ref = this.#core.objects.table.known(id);
    if (ref !== undefined)
      this.cancel(ref, { force: force === true, recursive: recursive === true });
    return true;
  }

  /** What a call or task that runs in this process has submitted and is not over; `parent`: its number as a parent. */
  cancelChildren(parent: number, options: CancelOptions): void {
    const isChild = (call: TaskCall | ActorCall): boolean => call.parent === parent;
    const children: (TaskCall | ActorCall)[] = this.#core.tasks.unfinished().filter(isChild);
    const connections = new Set<PeerConnection>();
    for (const { queue, connection } of this.#core.actors.callers()) {
      for (const call of queue.waiting()) if (isChild(call)) children.push(call);
      if (connection !== undefined) connections.add(connection);
    }
    for (const connection of connections)
      for (const reply of connection.pending())
        if (reply instanceof ActorCall && isChild(reply)) children.push(reply);
    for (const child of children) this.cancel(child, options);
  }
}
