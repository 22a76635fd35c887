import type { ProcessId } from '../ids.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

export interface PeerPresenceOptions {
  readonly clock: Clock;
  /** A new connection, or the one that is open. */
  readonly connect: (address: ProcessAddress) => Promise<unknown>;
  /** It owns refs that are here, or borrows refs of ours: somebody must hear of its death. */
  readonly matters: (processId: ProcessId) => boolean;
  readonly onDied: (processId: ProcessId) => void;
}

/** A process that lost its connection, and whose address nobody has told, has so long to show that it lives. */
const UNKNOWN_PEER_GRACE_MS = 3_000;
const LOST_PEERS_MAX = 10_000;

/**
 * Whether processes that have, or had, a connection with this one are alive. There may be two connections with one of
 * them, one opened by each side, and the end of either may be all that is ever heard of a death. So each end is
 * followed until a connection is open after it, or the process is found dead.
 */
export class PeerPresence {
  readonly #options: PeerPresenceOptions;
  readonly #addresses = new Map<ProcessId, ProcessAddress>();
  /** A connection with them has ended, and nothing has come from them since; the latest comes last. */
  readonly #lost = new Set<ProcessId>();
  readonly #verified = new Map<ProcessId, { isLostAgain: boolean }>();

  constructor(options: PeerPresenceOptions) {
    this.#options = options;
  }

  /** How that process is reached, for the case that it loses its connection. It need not be alive. */
  know(address: ProcessAddress): void {
    this.#addresses.set(address.processId, address);
  }

  addressOf(processId: ProcessId): ProcessAddress | undefined {
    return this.#addresses.get(processId);
  }

  /** What is sent to it now it may never get. */
  isLost(processId: ProcessId): boolean {
    return this.#lost.has(processId);
  }

  /** Something has come from it. */
  heardOf(processId: ProcessId): void {
    this.#lost.delete(processId);
  }

  /** A connection with it, whoever opened it, has ended: either the process, or only the connection. */
  connectionEnded(processId: ProcessId): void {
    this.#noteLost(processId);
    const verified = this.#verified.get(processId);
    if (verified !== undefined) verified.isLostAgain = true;
    else if (this.#options.matters(processId)) this.#verify(processId);
  }

  #noteLost(processId: ProcessId): void {
    this.#lost.delete(processId);
    this.#lost.add(processId);
    const [oldest] = this.#lost;
    if (this.#lost.size <= LOST_PEERS_MAX || oldest === undefined) return;
    this.#lost.delete(oldest);
    this.#addresses.delete(oldest);
  }

  #verify(processId: ProcessId): void {
    const { clock, connect } = this.#options;
    const address = this.#addresses.get(processId);
    this.#verified.set(processId, { isLostAgain: false });
    if (address === undefined)
      clock.after(UNKNOWN_PEER_GRACE_MS, () => this.#graceIsOver(processId), { unref: true });
    else
      connect(address).then(
        () => this.#found(processId),
        () => this.#died(processId),
      );
  }

  #graceIsOver(processId: ProcessId): void {
    if (this.#addresses.has(processId)) this.#verify(processId);
    else if (this.#lost.has(processId)) this.#died(processId);
    else this.#found(processId);
  }

  #found(processId: ProcessId): void {
    const isLostAgain = this.#verified.get(processId)?.isLostAgain;
    this.#verified.delete(processId);
    if (isLostAgain === true) this.connectionEnded(processId);
    else this.#lost.delete(processId);
  }

  #died(processId: ProcessId): void {
    this.#verified.delete(processId);
    this.#options.onDied(processId);
  }
}
