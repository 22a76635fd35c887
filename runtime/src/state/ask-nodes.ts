import { requestOver } from '../core/head-client.ts';
import { MantaError } from '../errors/errors.ts';
import type { BlobId, NodeId, ObjectId } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Explanation } from '../wire/actor-messages.ts';
import {
  NodeObjectsReply,
  type NodeObjectsInput,
  type ProcessReport,
} from '../wire/object-messages.ts';
import type { NodeInfo } from '../wire/state-messages.ts';
import type { Subjects } from '../wire/subjects.ts';
import { mergeAnswers, type ClusterObjects, type NodeAnswer } from './cluster-objects.ts';

export interface AskedCluster {
  readonly transport: Transport;
  readonly subjects: Subjects;
  /** As the head lists them; those that are dead are not asked. */
  readonly nodes: readonly NodeInfo[];
}

/** Beyond what processes may take: the agent's own time, and the way. */
const NODE_MARGIN_MS = 2_000;
/** A process without an answer for so long is named as silent. */
const PROCESS_TIMEOUT_MS = 1_000;
/** When it has to ask others in its turn. */
const EXPLAIN_TIMEOUT_MS = 5_000;

/** Asks all nodes at once. A node that does not answer in time is named, and no reason to wait longer. */
export function askNodes(
  { transport, subjects, nodes }: AskedCluster,
  message: NodeObjectsInput,
): Promise<NodeAnswer[]> {
  const { processTimeoutMs = PROCESS_TIMEOUT_MS } = message;
  const timeoutMs = processTimeoutMs + NODE_MARGIN_MS;
  const living = nodes.filter(({ state }) => state !== 'dead');
  return Promise.all(
    living.map(async ({ nodeId, name }): Promise<NodeAnswer> => {
      // Only the head makes node ids, so one that it told us is well formed.
      const subject = subjects.node(nodeId as NodeId, 'objects');
      try {
        const replySchema = NodeObjectsReply;
        const reply = await requestOver(transport, { subject, message, replySchema, timeoutMs });
        return { nodeId, name, reply };
      } catch (error) {
        if (!MantaError.is(error)) throw error;
        return { nodeId, name, silence: (error as MantaError).message };
      }
    }),
  );
}

/** The largest objects that are known anywhere, at most so many per node, and who holds them. */
export async function objectsOf(
  cluster: AskedCluster,
  query: { limit: number; collectGarbage?: boolean | undefined },
): Promise<ClusterObjects> {
  const answers = await askNodes(cluster, query);
  const places = await askWhere(cluster, answers);
  return mergeAnswers([...answers, ...places]);
}

/** One object, wherever it is known; with `explain`, also why its value is not there yet, if that is so. */
export async function objectById(
  cluster: AskedCluster,
  objectId: ObjectId,
): Promise<ClusterObjects & { explanation: Explanation | undefined }> {
  const message = { objectIds: [objectId], explain: true, processTimeoutMs: EXPLAIN_TIMEOUT_MS };
  const answers = await askNodes(cluster, message);
  const places = await askWhere(cluster, answers);
  return { ...mergeAnswers([...answers, ...places]), explanation: explanationOf(answers) };
}

/** Without an explanation: its submitter does not know it (any more). `isFound`: whether that has answered. */
export async function explainTaskById(
  cluster: AskedCluster,
  submitter: string,
  taskId: string,
): Promise<{ explanation: Explanation | undefined; answers: NodeAnswer[]; isFound: boolean }> {
  const answers = await askNodes(cluster, {
    processIds: [submitter as never],
    taskId,
    explain: true,
    processTimeoutMs: EXPLAIN_TIMEOUT_MS,
  });
  const isFound = reportsOf(answers).some(({ processId }) => processId === submitter);
  return { explanation: explanationOf(answers), answers, isFound };
}

/** What lies on another node than those who know of it is known there by its blob alone. */
async function askWhere(
  cluster: AskedCluster,
  answers: readonly NodeAnswer[],
): Promise<NodeAnswer[]> {
  const blobIds = blobsOf(answers);
  const ids = [...blobIds.keys()].slice(0, LIMITS.objectRows);
  const answering = new Set(
    answers.flatMap(({ nodeId, reply }) => (reply === undefined ? [] : [nodeId])),
  );
  if (ids.length === 0 || answering.size < 2) return [];
  // Who was silent is not waited for a second time.
  const nodes = cluster.nodes.filter(({ nodeId }) => answering.has(nodeId));
  const places = await askNodes({ ...cluster, nodes }, { processIds: [], blobIds: ids });
  return places.map(({ reply, ...answer }) => ({
    ...answer,
    ...(reply === undefined ? {} : { reply: onlyNew(reply, blobIds) }),
  }));
}

/** The places that were not told at once. */
function onlyNew(reply: NodeObjectsReply, known: Map<BlobId, Set<string>>): NodeObjectsReply {
  const blobs = reply.blobs.filter(({ blobId }) => known.get(blobId)?.has(reply.nodeId) !== true);
  return { ...reply, blobs };
}

/** Of all rows, with the nodes that have already said that they have it. */
function blobsOf(answers: readonly NodeAnswer[]): Map<BlobId, Set<string>> {
  const found = new Map<BlobId, Set<string>>();
  for (const { report } of reportsOf(answers))
    for (const { blobId } of report.rows) if (blobId !== undefined) found.set(blobId, new Set());
  for (const { nodeId, reply } of answers)
    for (const { blobId } of reply?.blobs ?? []) found.get(blobId)?.add(nodeId);
  return found;
}

function reportsOf(answers: readonly NodeAnswer[]): { processId: string; report: ProcessReport }[] {
  return answers.flatMap(({ reply }) =>
    (reply?.processes ?? []).flatMap(({ processId, report }) =>
      report === undefined ? [] : [{ processId, report }],
    ),
  );
}

function explanationOf(answers: readonly NodeAnswer[]): Explanation | undefined {
  return reportsOf(answers).find(({ report }) => report.explanation !== undefined)?.report
    .explanation;
}
