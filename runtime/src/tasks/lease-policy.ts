/** How much work a worker should hold, and how many workers a shape should ask for. */
export const LEASE_LIMITS = {
  /** Requests per shape that the head has not granted. */
  unanswered: 10,
  /** Work that a worker may have before it: enough to hide the round trip, little enough to wait behind. */
  backlogMs: 5,
  /** Tasks at one worker. */
  depth: 1_000,
  /** A queue that the leases there are will have emptied by then needs no more of them. */
  drainMs: 20,
} as const;

export interface Demand {
  /** Tasks that wait here. */
  queued: number;
  /** Workers this process has, busy or not. */
  leases: number;
  /** Requests that are not granted. */
  unanswered: number;
  /** Time for one task; undefined when none has been answered. */
  runMs: number | undefined;
}

/** How many more leases to ask for: never so many that one would have no task. */
export function leasesToRequest({ queued, leases, unanswered, runMs }: Demand): number {
  const useful =
    runMs === undefined ? queued : Math.ceil((queued * runMs) / LEASE_LIMITS.drainMs) - leases;
  const wanted = leases + unanswered === 0 ? Math.max(1, useful) : useful;
  return Math.max(0, Math.min(wanted, queued, LEASE_LIMITS.unanswered) - unanswered);
}
