import type { BlobId, NodeId, ProcessId } from '../ids.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { BlobDescriptor } from './blob.ts';

/** Each copy serves so many pulls at a time: with more askers than that, the next ones wait for the new copies. */
export const PULLS_PER_COPY = 2;
/** A source that failed one asker so often, though it lives, is not given to it again. */
const FAILURES_PER_SOURCE = 3;

/** Who asked for a source; exactly one of its functions is called, once. */
export interface SourceWaiter {
  /** Pull from this agent; it counts as busy until the asker says how it went, asks again, or is gone. */
  onSource(agent: ProcessAddress): void;
  /** No copy is left, or none that this asker can reach. */
  onLost(reason: string): void;
}

/** Why an asker could not pull from the source it got. */
export type SourceFailure =
  /** The source said that it has the blob no more. */
  | 'missing'
  /** The connection failed or nothing came: the source may be dead, or only unreachable from there. */
  | 'unreachable';

/** A node, or the owner itself where the blob is in its heap. */
type CopyId = NodeId | ProcessId;

/** The node of an agent that asks: what it had of the blob it has no more. */
export interface AskingNode {
  readonly nodeId: NodeId;
  /** Why not, if it ever had it. */
  readonly reason?: string | undefined;
}

/** A source that an asker could not pull from, and what it said. */
export interface FailedSource {
  readonly nodeId: NodeId;
  readonly failure: SourceFailure;
  readonly reason?: string | undefined;
}

interface Copy {
  readonly agent: ProcessAddress;
  readonly pulls: Set<ProcessId>;
}

interface Refusals {
  failures: number;
  /** The owner is finding out whether that agent lives. */
  isProbed: boolean;
}

interface Entry {
  readonly copies: Map<CopyId, Copy>;
  /** Which copy each asker pulls from. */
  readonly grants: Map<ProcessId, CopyId>;
  /** In the order in which they asked. */
  readonly waiting: Map<ProcessId, SourceWaiter>;
  /** Sources that failed an asker. */
  readonly refusals: Map<ProcessId, Map<CopyId, Refusals>>;
  readonly counters: Map<CopyId, number>;
  /** What became of the copy that was lost last. */
  lastLoss: string;
}

export interface BlobSourcesOptions {
  /** The last copy of a blob is gone; who waited for it has been told. */
  onLost?: (blobId: BlobId, reason: string) => void;
}

/**
 * The owner's side of transfers: which nodes have copies of each blob, and who may pull from which. An asker is the
 * process that pulls; it has at most one pull of a blob at a time.
 *
 * Life of an asker's wish for one blob:
 *
 *            1 source                    2 a copy has room
 *     (none) ────────▶ waiting ─────────────────────────────▶ pulling ──▶ 4 copied, ended, askerGone: (none)
 *                        │  ▲                                    │
 *                        │  └────────── 3 failed, then source ───┘
 *                        └─▶ 5 no copy left that it can reach: onLost
 *
 * A copy serves `PULLS_PER_COPY` pulls at a time, and who has pulled is a copy itself, so n nodes have the blob after
 * about log3(n) rounds.
 */
export class BlobSources {
  readonly #entries = new Map<BlobId, Entry>();
  readonly #onLost: (blobId: BlobId, reason: string) => void;

  constructor({ onLost = () => undefined }: BlobSourcesOptions = {}) {
    this.#onLost = onLost;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A blob that this process owns, stored on the node of its agent, or in this process's heap. */
  add(blob: BlobDescriptor): void {
    let entry = this.#entries.get(blob.blobId);
    if (entry === undefined) {
      entry = {
        copies: new Map(),
        grants: new Map(),
        waiting: new Map(),
        refusals: new Map(),
        counters: new Map(),
        lastLoss: 'there was none',
      };
      this.#entries.set(blob.blobId, entry);
    }
    addCopy(entry, blob.agent);
    this.#serve(blob.blobId, entry);
  }

  has(blobId: BlobId): boolean {
    return this.#entries.has(blobId);
  }

  /** Who has a copy, the first one first. */
  copies(blobId: BlobId): readonly ProcessAddress[] {
    const entry = this.#entries.get(blobId);
    return entry === undefined ? [] : [...entry.copies.values()].map(({ agent }) => agent);
  }

  /** How many pulls each copy was named for as the source, for statistics. */
  pullsBySource(blobId: BlobId): ReadonlyMap<CopyId, number> {
    return this.#entries.get(blobId)?.counters ?? new Map<CopyId, number>();
  }

  /** The object is gone: its copies are to be released by the caller; who waits is refused. */
  remove(blobId: BlobId): readonly ProcessAddress[] {
    const copies = this.copies(blobId);
    const entry = this.#entries.get(blobId);
    this.#entries.delete(blobId);
    if (entry !== undefined) refuseAll(entry, 'its owner has freed it');
    return copies;
  }

  /**
   * Transition 1. `node`: undefined when the asker is no agent.
   * An earlier wish of the same asker is replaced and not answered.
   */
  source(
    blobId: BlobId,
    asker: ProcessId,
    node: AskingNode | undefined,
    waiter: SourceWaiter,
  ): void {
    const entry = this.#entries.get(blobId);
    if (entry === undefined) {
      waiter.onLost('its owner does not hold it: it was freed or lost');
      return;
    }
    endPull(entry, asker);
    entry.waiting.delete(asker);
    entry.waiting.set(asker, waiter);
    if (node !== undefined && entry.copies.has(node.nodeId))
      this.#strike(blobId, entry, node.nodeId, missingAt(node.nodeId, node.reason));
    else this.#serve(blobId, entry);
  }

  /** The asker's pull has ended and its node has a copy now. False: too late, the blob is freed or lost. */
  copied(blobId: BlobId, asker: ProcessId, agent: ProcessAddress): boolean {
    const entry = this.#entries.get(blobId);
    if (entry === undefined) return false;
    forget(entry, asker);
    addCopy(entry, agent);
    this.#serve(blobId, entry);
    return true;
  }

  /** The asker's pull, or its wish, has ended without a copy that others could use. */
  ended(blobId: BlobId, asker: ProcessId): void {
    const entry = this.#entries.get(blobId);
    if (entry === undefined) return;
    forget(entry, asker);
    this.#serve(blobId, entry);
  }

  /**
   * Transition 3, before the asker asks again: the source failed it. With 'unreachable' the answer is the
   * agent whose life the caller finds out about: `nodeDied` or `probed` must follow.
   */
  failed(
    blobId: BlobId,
    asker: ProcessId,
    { nodeId, failure, reason }: FailedSource,
  ): ProcessAddress | undefined {
    const entry = this.#entries.get(blobId);
    if (entry?.grants.get(asker) !== nodeId) return undefined;
    endPull(entry, asker);
    const agent = entry.copies.get(nodeId)?.agent;
    if (failure === 'missing') {
      this.#strike(blobId, entry, nodeId, missingAt(nodeId, reason));
      return undefined;
    }
    if (agent !== undefined) refuse(entry, asker, nodeId);
    this.#serve(blobId, entry);
    return agent;
  }

  /** The agent lives: it may serve this asker again, unless it has failed it too often. */
  probed(blobId: BlobId, asker: ProcessId, nodeId: NodeId): void {
    const entry = this.#entries.get(blobId);
    const refusals = entry?.refusals.get(asker)?.get(nodeId);
    if (entry === undefined || refusals === undefined) return;
    refusals.isProbed = false;
    this.#serve(blobId, entry);
  }

  /** That node has this blob no more. */
  missing(blobId: BlobId, nodeId: NodeId, reason?: string): void {
    const entry = this.#entries.get(blobId);
    if (entry !== undefined) this.#strike(blobId, entry, nodeId, missingAt(nodeId, reason));
  }

  /**
   * That agent would rather not keep its copy. True, and it is struck off: another node has one, and nobody pulls from
   * this one; or it does not count anyway.
   */
  giveUp(blobId: BlobId, agent: ProcessId): boolean {
    const entry = this.#entries.get(blobId);
    for (const [copyId, copy] of entry?.copies ?? []) {
      if (copy.agent.processId !== agent || entry === undefined) continue;
      if (entry.copies.size === 1 || copy.pulls.size > 0) return false;
      this.#strike(blobId, entry, copyId, missingAt(copyId));
    }
    return true;
  }

  /** All that the node had is gone. */
  nodeDied(nodeId: NodeId): void {
    for (const [blobId, entry] of this.#entries)
      this.#strike(blobId, entry, nodeId, `node ${nodeId} died`);
  }

  /** The process is gone, with what it pulled. */
  askerGone(asker: ProcessId): void {
    for (const [blobId, entry] of this.#entries) {
      if (!entry.grants.has(asker) && !entry.waiting.has(asker)) continue;
      forget(entry, asker);
      this.#serve(blobId, entry);
    }
  }

  #strike(blobId: BlobId, entry: Entry, copyId: CopyId, loss: string): void {
    const copy = entry.copies.get(copyId);
    if (copy === undefined) return;
    entry.copies.delete(copyId);
    entry.counters.delete(copyId);
    for (const asker of copy.pulls) entry.grants.delete(asker);
    for (const refusals of entry.refusals.values()) refusals.delete(copyId);
    entry.lastLoss = loss;
    this.#serve(blobId, entry);
  }

  /** Transitions 2 and 5, for all who wait. */
  #serve(blobId: BlobId, entry: Entry): void {
    if (entry.copies.size === 0) {
      if (this.#entries.get(blobId) === entry) this.#entries.delete(blobId);
      refuseAll(entry, `no copy of it is left: ${entry.lastLoss}`);
      this.#onLost(blobId, entry.lastLoss);
      return;
    }
    for (const [asker, waiter] of entry.waiting) {
      const choice = choose(entry, asker);
      if (choice === 'wait') continue;
      entry.waiting.delete(asker);
      if (choice === 'none') {
        forget(entry, asker);
        waiter.onLost('no node that has a copy of it can be reached from there');
        continue;
      }
      const [copyId, copy] = choice;
      copy.pulls.add(asker);
      entry.grants.set(asker, copyId);
      entry.counters.set(copyId, (entry.counters.get(copyId) ?? 0) + 1);
      waiter.onSource(copy.agent);
    }
  }
}

/** The least busy copy that has room and has not failed this asker. */
function choose(entry: Entry, asker: ProcessId): [CopyId, Copy] | 'wait' | 'none' {
  const refusals = entry.refusals.get(asker);
  let best: [CopyId, Copy] | undefined;
  let mayComeLater = false;
  for (const [copyId, copy] of entry.copies) {
    const refused = refusals?.get(copyId);
    if (refused !== undefined && !refused.isProbed && refused.failures >= FAILURES_PER_SOURCE)
      continue;
    mayComeLater = true;
    if (refused?.isProbed === true || copy.pulls.size >= PULLS_PER_COPY) continue;
    if (best === undefined || copy.pulls.size < best[1].pulls.size) best = [copyId, copy];
  }
  return best ?? (mayComeLater ? 'wait' : 'none');
}

const missingAt = (copyId: CopyId, reason?: string): string =>
  `node ${copyId} has it no more${reason === undefined ? '' : ` (${reason})`}`;

function addCopy(entry: Entry, agent: ProcessAddress): void {
  const copyId = agent.nodeId ?? agent.processId;
  if (!entry.copies.has(copyId)) entry.copies.set(copyId, { agent, pulls: new Set() });
}

function refuse(entry: Entry, asker: ProcessId, nodeId: NodeId): void {
  let refusals = entry.refusals.get(asker);
  if (refusals === undefined) entry.refusals.set(asker, (refusals = new Map()));
  const failures = (refusals.get(nodeId)?.failures ?? 0) + 1;
  refusals.set(nodeId, { failures, isProbed: true });
}

function endPull(entry: Entry, asker: ProcessId): void {
  const copyId = entry.grants.get(asker);
  if (copyId === undefined) return;
  entry.grants.delete(asker);
  entry.copies.get(copyId)?.pulls.delete(asker);
}

function forget(entry: Entry, asker: ProcessId): void {
  endPull(entry, asker);
  entry.waiting.delete(asker);
  entry.refusals.delete(asker);
}

function refuseAll(entry: Entry, reason: string): void {
  const waiting = [...entry.waiting.values()];
  entry.waiting.clear();
  for (const waiter of waiting) waiter.onLost(reason);
}
