import type { ActorId, JobId, NodeId, ProcessId } from '@manta/runtime/ids';

/** A process that owns or holds actors: a driver, an actor host, or one that nobody has explained yet. */
export interface ProcessEntry {
  readonly processId: ProcessId;
  kind: 'driver' | 'host' | 'unknown';
  /**
   * The nodes that watch it: the one where a host runs, those at which liveness links of a driver end. It has one link,
   * but a node whose network was away may not know yet that its own is over.
   */
  readonly watchers: Set<NodeId>;
  jobId?: JobId | undefined;
  readonly held: Set<ActorId>;
  readonly owned: Set<ActorId>;
  /** Something came from it since this head started. */
  isSeen: boolean;
}

/** Requests of a process that has ended may still arrive; so many ended ones are remembered to refuse them. */
const ENDED_MAX = 10_000;

/**
 * Which processes live where.
 *
 *   (1) mentioned        (2) linked / hosted         (4) ended
 *   ────────────► known ────────────────► watched ────────────► ended
 *                   │        ▲   (3) no node has it   │
 *                   │        └────── unwatched ◄──────┘ (drivers; hosts end)
 *                   └───────────────(4)──────────────────────► ended
 *
 * 1 it owns or holds an actor, or started a job. 2 a node reports it. 3 a driver may link to another node.
 * 4 reported as ended by the last node that watches it, its job ended, or it stayed unwatched too long: for ever, later
 * mentions are ignored.
 */
export class ProcessTable {
  readonly #processes = new Map<ProcessId, ProcessEntry>();
  readonly #ended = new Set<ProcessId>();

  get(processId: ProcessId): ProcessEntry | undefined {
    return this.#processes.get(processId);
  }
  hasEnded(processId: ProcessId): boolean {
    return this.#ended.has(processId);
  }
  all(): IterableIterator<ProcessEntry> {
    return this.#processes.values();
  }

  /** Transition 1; undefined when it has ended already. */
  mention(processId: ProcessId): ProcessEntry | undefined {
    if (this.#ended.has(processId)) return undefined;
    let entry = this.#processes.get(processId);
    if (entry === undefined) {
      const sets = {
        watchers: new Set<NodeId>(),
        held: new Set<ActorId>(),
        owned: new Set<ActorId>(),
      };
      entry = { processId, kind: 'unknown', isSeen: false, ...sets };
      this.#processes.set(processId, entry);
    }
    return entry;
  }

  /** Transition 4: what it owned and held, once. */
  end(processId: ProcessId): ProcessEntry | undefined {
    const entry = this.#processes.get(processId);
    this.#processes.delete(processId);
    this.#ended.add(processId);
    for (const oldest of this.#ended) {
      if (this.#ended.size <= ENDED_MAX) break;
      this.#ended.delete(oldest);
    }
    return entry;
  }
}
