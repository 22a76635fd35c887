import { BackpressureError, MantaError } from '@manta/runtime/errors/errors';
import type { ActorId, NodeId, ProcessId } from '@manta/runtime/ids';
import { ask } from '@manta/runtime/rpc/ask';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { RECORD } from '@manta/runtime/rpc/records';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import { rankOf } from '@manta/runtime/state/task-rows';
import type { Clock } from '@manta/runtime/time/clock';
import { within } from '@manta/runtime/time/within';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import {
  ProcessReport,
  type NodeObjects,
  type NodeObjectsReply,
  type NodeProcess,
  type NodeStoreReport,
  type ObjectRow,
  type ProcessInquiry,
} from '@manta/runtime/wire/object-messages';
import type { StoreQuery, StoreReport } from '../objects/store-report.ts';

/** A process of this node that may own or hold objects. */
export interface LocalProcess {
  processId: ProcessId;
  role: 'driver' | 'host';
  /** Undefined: not known (yet). */
  address: ProcessAddress | undefined;
  pid: number | undefined;
  actors: { actorId: ActorId; className: string; isTaskWorker: boolean }[];
}

export interface ObjectInquiriesOptions {
  clock: Clock;
  readonly agent: () => ProcessAddress;
  readonly nodeId: () => NodeId;
  readonly processes: () => readonly LocalProcess[];
  readonly connect: (address: ProcessAddress) => Promise<PeerConnection>;
  readonly store: (
    query: StoreQuery,
  ) => { store: NodeStoreReport; blobs: StoreReport['blobs'] } | undefined;
  /** What one answer may take. */
  readonly replyBytesMax: () => number;
}

/** Questions from outside that are under way. */
const OPEN_MAX = 32;
const PROCESS_TIMEOUT_MS = 1_000;
const PROCESS_TIMEOUT_MAX_MS = 10_000;
const ROWS_DEFAULT = 1_000;
/** Of a host with 100 000 actors so many are named. */
const ACTORS_NAMED = 8;
/** Of a message, beside what it carries. */
const ENVELOPE_BYTES = 1_024;

/**
 * Who holds what on this node: asks its processes, each with a time limit, and adds what the store itself knows. A
 * process that is stopped, or too busy, is named and does not keep the others' answers back.
 */
export class ObjectInquiries {
  readonly #options: ObjectInquiriesOptions;
  /** Since when processes have owed an answer. */
  readonly #silentSince = new Map<ProcessId, number>();
  #open = 0;

  constructor(options: ObjectInquiriesOptions) {
    this.#options = options;
  }

  /** @throws BackpressureError */
  async answer(query: NodeObjects): Promise<NodeObjectsReply> {
    if (this.#open >= OPEN_MAX)
      throw new BackpressureError(`This node answers ${OPEN_MAX} such questions already.`);
    this.#open += 1;
    try {
      return this.#fitting(await this.#collect(query));
    } finally {
      this.#open -= 1;
    }
  }

  async #collect(query: NodeObjects): Promise<NodeObjectsReply> {
    const { agent, nodeId, processes, store } = this.#options;
    const { processIds, limit = ROWS_DEFAULT, blobIds = [] } = query;
    const wanted = processIds && new Set(processIds);
    const asked = processes().filter(({ processId }) => wanted?.has(processId) !== false);
    const answers = await Promise.all(asked.map((process) => this.#ask(process, query)));
    keepLargest(answers, limit);
    keepForemost(answers, limit);
    const named = new Set(blobIds);
    for (const { report } of answers)
      for (const { blobId } of report?.rows ?? []) if (blobId !== undefined) named.add(blobId);
    const isPartial = [query.objectIds, query.taskId, query.tasks, wanted].some(
      (part) => part !== undefined,
    );
    const found = store({
      blobIds: named,
      objectIds: new Set(query.objectIds),
      limit: isPartial ? 0 : limit,
    });
    return {
      nodeId: nodeId(),
      agentId: agent().processId,
      ...(found === undefined ? {} : { store: found.store }),
      processes: answers,
      blobs: found?.blobs ?? [],
    };
  }

  async #ask(process: LocalProcess, query: NodeObjects): Promise<NodeProcess> {
    const { processId, role, pid, actors, address } = process;
    const known: NodeProcess = {
      processId,
      role,
      ...(pid === undefined ? {} : { pid }),
      actors: actors.slice(0, ACTORS_NAMED),
      actorCount: actors.length,
    };
    if (address === undefined) return { ...known, silence: 'its address is not known' };
    const { clock } = this.#options;
    const timeoutMs = Math.min(
      query.processTimeoutMs ?? PROCESS_TIMEOUT_MS,
      PROCESS_TIMEOUT_MAX_MS,
    );
    const owedMs = clock.now() - (this.#silentSince.get(processId) ?? clock.now());
    if (owedMs >= timeoutMs)
      return { ...known, silence: `it has not answered for ${Math.round(owedMs)} ms` };
    try {
      const report = await within(clock, timeoutMs, this.#inquire(address, query));
      if (report !== undefined) return { ...known, report };
      return { ...known, silence: `it has not answered for ${timeoutMs} ms` };
    } catch (error) {
      const reason = MantaError.is(error) ? (error as MantaError).message : String(error);
      return { ...known, silence: `it cannot be asked: ${reason}` };
    }
  }

  async #inquire(address: ProcessAddress, query: NodeObjects): Promise<ProcessReport> {
    const { processId } = address;
    const { objectIds, taskId, tasks, explain, hops, collectGarbage, limit } = query;
    const what = { objectIds, taskId, tasks };
    const inquiry: ProcessInquiry = { ...what, explain, hops, collectGarbage, limit };
    const isFirst = !this.#silentSince.has(processId);
    if (isFirst) this.#silentSince.set(processId, this.#options.clock.now());
    try {
      const connection = await this.#options.connect(address);
      const answer = await ask(connection, RECORD.inquire, encodeControl(inquiry));
      return decodeControl(ProcessReport, answer as Uint8Array);
    } finally {
      if (isFirst) this.#silentSince.delete(processId);
    }
  }

  /** The smallest objects and the last tasks are left out when the answer is too long for a message. */
  #fitting(reply: NodeObjectsReply): NodeObjectsReply {
    const max = this.#options.replyBytesMax() - ENVELOPE_BYTES;
    for (let rows = countRows(reply); ; rows = Math.floor(rows / 2)) {
      if (rows === 0 || sizeOf(reply) <= max) return reply;
      keepLargest(reply.processes, Math.floor(rows / 2));
      keepForemost(reply.processes, Math.floor(rows / 2));
      reply.blobs = reply.blobs.slice(0, Math.floor(reply.blobs.length / 2));
    }
  }
}

function countRows({ processes, blobs }: NodeObjectsReply): number {
  return processes.reduce(
    (sum, { report }) => sum + (report?.rows.length ?? 0) + (report?.tasks?.length ?? 0),
    blobs.length,
  );
}

function sizeOf(reply: NodeObjectsReply): number {
  try {
    return encodeControl(reply).byteLength;
  } catch (error) {
    if (MantaError.is(error, 'ProtocolError')) return Infinity;
    throw error;
  }
}

/** Over all processes together. */
function keepLargest(processes: NodeProcess[], limit: number): void {
  const all = processes.flatMap(({ report }) => report?.rows ?? []);
  if (all.length <= limit) return;
  const size = ({ sizeBytes = -1 }: ObjectRow): number => sizeBytes;
  const kept = new Set(all.sort((a, b) => size(b) - size(a)).slice(0, limit));
  for (const process of processes) {
    const { report } = process;
    if (report !== undefined)
      process.report = { ...report, rows: report.rows.filter((row) => kept.has(row)) };
  }
}

/** Of the tasks of all processes together. */
function keepForemost(processes: NodeProcess[], limit: number): void {
  const all = processes.flatMap(({ report }) => report?.tasks ?? []);
  if (all.length <= limit) return;
  const kept = new Set(all.sort((a, b) => rankOf(a) - rankOf(b)).slice(0, limit));
  for (const process of processes) {
    const { report } = process;
    if (report?.tasks !== undefined)
      process.report = { ...report, tasks: report.tasks.filter((row) => kept.has(row)) };
  }
}
