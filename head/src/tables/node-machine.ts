import type { NodeRegister } from '@manta/runtime/wire/messages';

export type NodeState = 'alive' | 'suspect' | 'draining' | 'dead';

/** What a node said of itself when it registered, without what runs there. */
export type NodeRegistration = Omit<NodeRegister, 'actors' | 'drivers' | 'leases' | 'idleHosts'>;

export interface NodeRecord {
  registration: NodeRegistration;
  state: NodeState;
  stateSince: number;
  /** Why it is not plainly alive. */
  reason?: string | undefined;
  /** Takes no new work; outlasts a suspicion. */
  draining?: string | undefined;
}

export type NodeEvent =
  | { type: 'registered'; registration: NodeRegistration }
  | { type: 'silent'; reason: string }
  | { type: 'heard' }
  | { type: 'drain'; reason: string }
  | { type: 'gone'; reason: string };

export type NodeEffect =
  | { type: 'save' }
  /** Watch its heartbeats from now on. */
  | { type: 'watch' }
  /** It may take work: look at what waits. */
  | { type: 'usable' }
  /** The agent process is another one: nothing that the former one ran is left. */
  | { type: 'new-session' }
  | { type: 'lost'; reason: string }
  | { type: 'refuse'; reason: string };

export function createNodeRecord(registration: NodeRegistration, now: number): NodeRecord {
  return { registration, state: 'alive', stateSince: now };
}

/**
 * The life of one node.
 *
 *      (1) registered
 *          ▼
 *        alive ◄──(3) heard── suspect
 *          │  └──(2) silent──►   │
 *       (4) drain            (4) │ drain (stays suspect until heard)
 *          ▼                     │
 *       draining ◄──(3)──────────┤
 *          │  └──────(2)──────►  │
 *          └──────(5) gone───────┴──► dead   (6) registers again: refused
 *
 * 1 registered, or again with the same id: what it said is kept, it counts as heard.
 * 2 silent: no heartbeat for too long, or its connection is gone; takes no new work.
 * 3 heard again: back to alive, or to draining.
 * 4 drain: takes no new work, what runs goes on.
 * 5 gone: declared dead, or left by itself; for ever.
 * 6 a dead node that registers is refused: it must end its actors and come back under a new id.
 *
 * Changes `record` and nothing else.
 */
export function stepNode(record: NodeRecord, event: NodeEvent, now: number): NodeEffect[] {
  if (record.state === 'dead') {
    if (event.type !== 'registered') return [];
    return [
      { type: 'refuse', reason: `it was declared dead: ${record.reason ?? 'unknown reason'}` },
    ];
  }
  switch (event.type) {
    case 'registered':
      return onRegistered(record, event.registration, now);
    case 'silent':
      if (record.state === 'suspect') return [];
      setState(record, 'suspect', event.reason, now);
      return [];
    case 'heard':
      if (record.state !== 'suspect') return [];
      return settle(record, now);
    case 'drain':
      record.draining = event.reason;
      if (record.state !== 'suspect') setState(record, 'draining', event.reason, now);
      return [{ type: 'save' }];
    case 'gone':
      setState(record, 'dead', event.reason, now);
      return [{ type: 'save' }, { type: 'lost', reason: event.reason }];
  }
}

function onRegistered(
  record: NodeRecord,
  registration: NodeRegistration,
  now: number,
): NodeEffect[] {
  if (JSON.stringify(record.registration.capacity) !== JSON.stringify(registration.capacity)) {
    return [
      { type: 'refuse', reason: 'its capacity changed: a node keeps what it registered with' },
    ];
  }
  const isNewSession = record.registration.sessionId !== registration.sessionId;
  record.registration = registration;
  const effects: NodeEffect[] = [{ type: 'save' }, { type: 'watch' }, ...settle(record, now)];
  if (isNewSession) effects.push({ type: 'new-session' });
  return effects;
}

function settle(record: NodeRecord, now: number): NodeEffect[] {
  if (record.draining !== undefined) setState(record, 'draining', record.draining, now);
  else if (record.state !== 'alive') setState(record, 'alive', undefined, now);
  return [{ type: 'usable' }];
}

function setState(
  record: NodeRecord,
  state: NodeState,
  reason: string | undefined,
  now: number,
): void {
  if (record.state !== state) record.stateSince = now;
  record.state = state;
  record.reason = reason;
}
