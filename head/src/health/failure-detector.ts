import type { NodeId } from '@manta/runtime/ids';

/** All times of failure detection, from the one that an operator sets. */
export interface DetectionTimes {
  readonly heartbeatIntervalMs: number;
  /** Without a sign of life for so long a node is suspect, and asked directly. */
  readonly suspectAfterMs: number;
  readonly deadAfterMs: number;
  /** How often the head looks, and how often it asks a suspect. */
  readonly tickIntervalMs: number;
  readonly pingTimeoutMs: number;
  /**
   * Without contact to the head for so long a node ends its own actors: well before `deadAfterMs`, for both count from
   * the same last contact, and ending takes time.
   */
  readonly fencingTimeoutMs: number;
}

export function detectionTimes(failureDetectionMs: number): DetectionTimes {
  const part = (ninths: number) => Math.max(1, Math.round((failureDetectionMs * ninths) / 9));
  return {
    heartbeatIntervalMs: part(1),
    suspectAfterMs: part(4),
    deadAfterMs: failureDetectionMs,
    tickIntervalMs: Math.max(1, Math.round(failureDetectionMs / 45)),
    pingTimeoutMs: part(2),
    fencingTimeoutMs: part(6),
  };
}

export type DetectorEffect =
  | { type: 'suspect'; nodeId: NodeId; reason: string }
  | { type: 'heard'; nodeId: NodeId }
  /** Ask the node itself for a second opinion. */
  | { type: 'ping'; nodeId: NodeId }
  | { type: 'dead'; nodeId: NodeId; silentMs: number };

interface Watched {
  /** On the detector's own clock. */
  lastHeardAt: number;
  isSuspect: boolean;
}

/**
 * Who is silent for too long.
 *
 *   alive ──(1) silent for suspectAfterMs──► suspect ──(3) silent for deadAfterMs──► dead (no longer watched)
 *     │ ▲                                      ▲ │ ↺ (4) asked with every tick
 *     │ └───────(2) heartbeat or answer────────┼─┘
 *     └──────────(5) doubt─────────────────────┘
 *
 * 5 a sign that it may be gone, such as the end of its connection: suspect, and asked, at once. Only silence makes it
 *   dead: an agent that lost its connection is back before long, and one that is stalled never lost it.
 *
 * Silence counts only while this detector itself was running: its clock moves at most two ticks per tick. A head that
 * was stalled for a minute has a minute of unread heartbeats before it, and blames nobody. Nor does one that is cut
 * off from the broker (`skip`): it hears nobody, and who is silent cannot be told.
 */
export class FailureDetector {
  readonly #times: DetectionTimes;
  readonly #watched = new Map<NodeId, Watched>();
  #clock = 0;
  #lastTickAt: number | undefined;

  constructor(times: DetectionTimes) {
    this.#times = times;
  }

  watch(nodeId: NodeId): void {
    this.#watched.set(nodeId, { lastHeardAt: this.#clock, isSuspect: false });
  }

  forget(nodeId: NodeId): void {
    this.#watched.delete(nodeId);
  }

  /** A heartbeat, a ping's answer, any message of the node. */
  heard(nodeId: NodeId): DetectorEffect[] {
    const watched = this.#watched.get(nodeId);
    if (watched === undefined) return [];
    watched.lastHeardAt = this.#clock;
    if (!watched.isSuspect) return [];
    watched.isSuspect = false;
    return [{ type: 'heard', nodeId }];
  }

  /** There is a sign that the node may be gone. */
  doubt(nodeId: NodeId, reason: string): DetectorEffect[] {
    const watched = this.#watched.get(nodeId);
    if (watched === undefined || watched.isSuspect) return [];
    watched.isSuspect = true;
    return [
      { type: 'suspect', nodeId, reason },
      { type: 'ping', nodeId },
    ];
  }

  /** Instead of a tick, while this head could not hear a node: the time does not count as silence. */
  skip(now: number): void {
    this.#lastTickAt = now;
  }

  tick(now: number): DetectorEffect[] {
    const elapsed = now - (this.#lastTickAt ?? now);
    this.#lastTickAt = now;
    this.#clock += Math.min(Math.max(0, elapsed), 2 * this.#times.tickIntervalMs);
    const effects: DetectorEffect[] = [];
    for (const [nodeId, watched] of this.#watched) this.#look(nodeId, watched, effects);
    return effects;
  }

  #look(nodeId: NodeId, watched: Watched, effects: DetectorEffect[]): void {
    const silentMs = this.#clock - watched.lastHeardAt;
    if (silentMs < this.#times.suspectAfterMs && !watched.isSuspect) return;
    if (silentMs >= this.#times.deadAfterMs) {
      this.#watched.delete(nodeId);
      effects.push({ type: 'dead', nodeId, silentMs });
      return;
    }
    if (!watched.isSuspect) {
      watched.isSuspect = true;
      effects.push({ type: 'suspect', nodeId, reason: 'heartbeats are missing' });
    }
    effects.push({ type: 'ping', nodeId });
  }
}
