/**
 * When must this node end its own actors? Only when the head may be giving them to other nodes: it is alive somewhere
 * and this node is cut off from it (docs/decisions/2026-11-23-fencing.md). Pure: time comes with each event.
 *
 * ```
 *              (1) proof of contact                       (3) registered again
 *            ┌──────────┐                              ┌───────────────────────┐
 *            ▼          │                              ▼                       │
 *   ∅ ──▶ in contact ───┘ ──(2) fencingTimeoutMs without proof──▶ fenced ──────┘
 * ```
 * Proof of contact is a round trip through the broker, or the certainty that no head is at work behind it (`Reach`).
 * It counts from the moment the question was *sent*: the head counts from a later one.
 */
export interface FencingState {
  timeoutMs: number;
  lastContactMs: number;
  /** When the state was last looked at: a gap means that this process did not run. */
  lastCheckMs: number;
  fenced: boolean;
}

/** What asking one broker address for a TCP connection gave. */
export type Reach =
  /** The machine refused: it is there, and nothing listens. */
  | 'refused'
  /** It took the connection and said nothing: the process is stopped or stalled. */
  | 'silent'
  /** A broker greeted. */
  | 'greeted'
  /** No answer from the machine, or no way to it. */
  | 'unreachable';

export type FencingEvent =
  | { type: 'round-trip'; sentAtMs: number }
  | { type: 'probed'; sentAtMs: number; reaches: readonly Reach[] }
  | { type: 'registered'; nowMs: number }
  | { type: 'check'; nowMs: number; localBroker: boolean; cutOff: boolean };

export type FencingEffect =
  | { type: 'fence'; withoutContactMs: number }
  /** The process did not run for longer than the fencing time: ask the head what it thinks of this node. */
  | { type: 'register-again' };

/** A check that comes later than this share of the fencing time shows that this process did not run. */
const STALL_SHARE = 0.25;

export function createFencingState(timeoutMs: number, nowMs: number): FencingState {
  return { timeoutMs, lastContactMs: nowMs, lastCheckMs: nowMs, fenced: false };
}

export function stepFencing(state: FencingState, event: FencingEvent): FencingEffect[] {
  switch (event.type) {
    case 'round-trip':
      contact(state, event.sentAtMs);
      return [];
    case 'probed':
      if (nobodyAtWork(event.reaches)) contact(state, event.sentAtMs);
      return [];
    case 'registered':
      state.fenced = false;
      contact(state, event.nowMs);
      return [];
    case 'check':
      return check(state, event);
  }
}

/**
 * True when no broker, hence no head, can be at work: every address answered at the level of the machine, and at none
 * is a broker that greets. One address that does not answer may hide a head that is alive.
 */
export function nobodyAtWork(reaches: readonly Reach[]): boolean {
  return reaches.length > 0 && reaches.every((reach) => reach === 'refused' || reach === 'silent');
}

function contact(state: FencingState, atMs: number): void {
  state.lastContactMs = Math.max(state.lastContactMs, atMs);
}

function check(
  state: FencingState,
  event: { nowMs: number; localBroker: boolean; cutOff: boolean },
): FencingEffect[] {
  const effects: FencingEffect[] = [];
  const gapMs = event.nowMs - state.lastCheckMs;
  state.lastCheckMs = event.nowMs;
  if (gapMs > state.timeoutMs) {
    effects.push({ type: 'register-again' });
    // The broker's machine slept as long as this one did, so silence proves nothing.
    if (event.localBroker && !event.cutOff) contact(state, event.nowMs);
  }
  // Just woken, with what arrived meanwhile still unread: the next check decides. (After a sleep longer than the fencing
  // time the head may have given the actors away, so nothing is put off.)
  const isJustAwake = gapMs > state.timeoutMs * STALL_SHARE && gapMs <= state.timeoutMs;
  if (isJustAwake) return effects;
  const withoutContactMs = event.nowMs - state.lastContactMs;
  if (!state.fenced && withoutContactMs > state.timeoutMs) {
    state.fenced = true;
    effects.push({ type: 'fence', withoutContactMs });
  }
  return effects;
}
