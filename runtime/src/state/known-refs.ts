import { ArgumentRef } from '../core/owned-objects.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import { isObjectRef, type AnyObjectRef } from '../objects/object-ref.ts';
import type { ActorCall } from '../rpc/actor-call.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { unfinishedCallsOf } from '../rpc/caller-questions.ts';
import { TaskCall } from '../tasks/task-call.ts';
import type { ObjectHold } from '../wire/object-messages.ts';

/** What a report asks of a process (core/core-process.ts). */
export interface ReportedCore {
  readonly processId: ProcessId;
  readonly objects: {
    readonly table: {
      entries(): { id: ObjectId; pins: number; borrowers: ProcessId[]; ref: AnyObjectRef }[];
    };
    readonly borrowed: { entries(): { ref: AnyObjectRef; pins: number }[] };
    storedRefs(): Iterable<AnyObjectRef>;
  };
  readonly actors: { callers(): readonly ActorCaller[] };
  readonly tasks: { unfinished(limit: number): TaskCall[]; readonly unfinishedCount: number };
}

/** An object that a process knows, and what of this process holds it. */
export interface KnownRef {
  readonly ref: AnyObjectRef;
  readonly holds: ObjectHold[];
  /** Of an object of its own that has left it. */
  borrowers?: ProcessId[];
}

export interface KnownRefs {
  readonly refs: Map<AnyObjectRef, KnownRef>;
  /** Calls that were not looked at, because there are too many. */
  readonly unseenCalls: number;
}

/** Unfinished calls that one report looks at: with a million of them, those at work and the next. */
const CALLS_SEEN_MAX = 100_000;

/**
 * What a process can tell of: objects that have left it, those in the store, results of calls that are not over, their
 * arguments, and refs of other processes. Small values that never left it are known to nobody but its garbage collector.
 */
export function knownRefs(core: ReportedCore): KnownRefs {
  const refs = new Map<AnyObjectRef, KnownRef>();
  const known = (ref: AnyObjectRef): KnownRef => {
    let entry = refs.get(ref);
    if (entry === undefined) refs.set(ref, (entry = { ref, holds: [] }));
    return entry;
  };
  for (const { ref, pins, borrowers } of core.objects.table.entries()) {
    const entry = known(ref);
    entry.borrowers = borrowers;
    if (pins > 0) entry.holds.push({ how: 'in-value', times: pins });
  }
  for (const ref of core.objects.storedRefs()) {
    if (refs.has(ref) || ref instanceof ArgumentRef) continue;
    known(ref).holds.push({ how: 'local-ref', times: 1 });
  }
  for (const { ref, pins } of core.objects.borrowed.entries()) {
    const entry = known(ref);
    entry.holds.push({ how: 'local-ref', times: 1 });
    if (pins > 0) entry.holds.push({ how: 'in-value', times: pins });
  }
  const { calls, unseen } = unfinishedCalls(core);
  for (const call of calls) {
    if (!refs.has(call)) known(call);
    for (const argument of argumentsOf(call)) noteArgument(known(argument), nameOf(call));
  }
  return { refs, unseenCalls: unseen };
}

function unfinishedCalls(core: ReportedCore): { calls: (ActorCall | TaskCall)[]; unseen: number } {
  const calls: (ActorCall | TaskCall)[] = core.tasks.unfinished(CALLS_SEEN_MAX);
  let unseen = core.tasks.unfinishedCount - calls.length;
  for (const caller of core.actors.callers()) {
    for (const call of unfinishedCallsOf(caller)) {
      if (calls.length < CALLS_SEEN_MAX) calls.push(call);
      else unseen += 1;
    }
  }
  return { calls, unseen: Math.max(0, unseen) };
}

/** Each once, however often it is an argument of this call. */
function argumentsOf(call: ActorCall | TaskCall): Set<AnyObjectRef> {
  const pins = call instanceof TaskCall ? call.extras?.pins : call.pins;
  return new Set([...(call.values ?? []), ...(pins ?? [])].filter(isObjectRef));
}

function noteArgument({ holds }: KnownRef, call: string): void {
  const hold = holds.find(({ how }) => how === 'call-argument');
  if (hold === undefined) holds.push({ how: 'call-argument', times: 1, call });
  else hold.times += 1;
}

function nameOf(call: ActorCall | TaskCall): string {
  return call instanceof TaskCall
    ? `task ${call.task.name}`
    : `${call.caller.className}.${call.method.name}`;
}
