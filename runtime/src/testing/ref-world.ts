import { ClusterUnavailableError } from '../errors/errors.ts';
import { createIdMint, type ObjectId, type ProcessId } from '../ids.ts';
import { REF_STATE } from '../objects/object-ref.ts';
import { PeerConnection } from '../rpc/peer-connection.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { ManualClock } from './manual-clock.ts';
import { RefProcess } from './ref-process.ts';
import { SlowChannel } from './slow-channel.ts';

/** Where nothing has to be random but what the test chooses, ids count up. */
function countingMint(): ReturnType<typeof createIdMint> {
  let next = 0;
  return createIdMint((target) => {
    next += 1;
    for (let place = 0, rest = next; place < target.length; place += 1, rest = rest >> 5)
      target[place] = rest & 31;
  });
}

/** Processes, and channels whose records arrive when the test says so. */
export class RefWorld {
  readonly clock = new ManualClock();
  readonly mintId = countingMint();
  readonly #processes: RefProcess[] = [];
  readonly #ends: SlowChannel[] = [];

  constructor(processes: number) {
    while (this.#processes.length < processes) this.#start();
  }

  #start(): void {
    this.#processes.push(new RefProcess(this, this.mintId('process')));
  }

  get living(): RefProcess[] {
    return this.#processes.filter(({ isAlive }) => isAlive);
  }

  find(processId: ProcessId): RefProcess | undefined {
    return this.#processes.find(({ id }) => id === processId);
  }

  open(caller: RefProcess, address: ProcessAddress): Promise<PeerConnection> {
    const callee = this.find(address.processId);
    if (callee?.isAlive !== true || !caller.isAlive)
      return Promise.reject(new ClusterUnavailableError('Nobody listens there.'));
    const [near, far] = [new SlowChannel(callee.id), new SlowChannel(caller.id)];
    [near.other, far.other] = [far, near];
    this.#ends.push(near, far);
    callee.accept(far, caller.address);
    return Promise.resolve(new PeerConnection(near));
  }

  /** Delivers the next record of one of the channels that have some. False: there is nothing under way. */
  deliver(choice: number): boolean {
    const ready = this.#ends.filter((end) => end.hasNews);
    const end = ready[choice % Math.max(1, ready.length)];
    end?.deliver();
    return end !== undefined;
  }

  /** What it had sent last may be lost: each channel keeps what came before. Another takes its place. */
  kill(victim: RefProcess, losses: Iterator<number>): void {
    victim.isAlive = false;
    victim.exchange.close();
    for (const end of this.#ends) {
      if (end.peer.processId === victim.id && end.isOpen) {
        end.endAfterLosing(Number(losses.next().value));
        end.other.isOpen = false;
      }
    }
    this.#start();
  }

  /** The connections between two that live end; what either had sent last on them may be lost. */
  breakConnections(one: RefProcess, other: RefProcess, losses: Iterator<number>): void {
    for (const end of this.#ends) {
      const ends = [end.peer.processId, end.other.peer.processId];
      const isBetween = ends.includes(one.id) && ends.includes(other.id);
      if (isBetween && end.isOpen) end.endAfterLosing(Number(losses.next().value));
    }
  }

  /** Refs whose owner lives but does not know them any more, though code holds them. */
  lost(): string[] {
    return this.living.flatMap((process) =>
      [...process.held.keys(), ...process.inside()].flatMap((ref) => {
        const owner = ref.owner && this.find(ref.owner.processId);
        if (owner?.isAlive !== true || ref.state === REF_STATE.failed) return [];
        try {
          owner.exchange.table.find(ref.id as ObjectId);
          return [];
        } catch (error) {
          return [`${process.id} holds ${ref.id} of ${owner.id}: ${String(error)}`];
        }
      }),
    );
  }

  /** Nobody holds anything, and nothing is under way. */
  get isAtRest(): boolean {
    const isHolding = this.living.some(({ held }) => held.size > 0);
    return !isHolding && this.remains().length === 0 && this.clock.pendingTimers === 0;
  }

  /** Whatever the living still keep for each other. */
  remains(): string[] {
    return this.living.flatMap(({ id, exchange }) => [
      ...exchange.table
        .entries()
        .map(
          (entry) => `${id} exports ${entry.id}, pins ${entry.pins}, to ${String(entry.borrowers)}`,
        ),
      ...exchange.borrowed.entries().map((entry) => `${id} borrows ${entry.id} of ${entry.owner}`),
    ]);
  }
}
