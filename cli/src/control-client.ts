import { HeadClient, requestOver } from '@manta/runtime/core/head-client';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import type { ClusterId, NodeId } from '@manta/runtime/ids';
import type { AskedCluster } from '@manta/runtime/state/ask-nodes';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import { systemClock, type Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import { NodeLogsReply, type NodeLogs } from '@manta/runtime/wire/log-messages';
import { Explanation, type ActorExplain } from '@manta/runtime/wire/actor-messages';
import { DiscoverReply } from '@manta/runtime/wire/messages';
import {
  StateActorsReply,
  StateJobsReply,
  StateNodesReply,
  StateResourcesReply,
  StateTasksReply,
  type ActorInfo,
  type JobInfo,
  type NodeInfo,
  type StateActors,
} from '@manta/runtime/wire/state-messages';
import { DISCOVER_SUBJECT, subjectsOf, type Subjects } from '@manta/runtime/wire/subjects';
import type * as v from 'valibot';
import type { Connection } from './connection.ts';

type In<S extends v.GenericSchema> = v.InferInput<S>;
type Out<S extends v.GenericSchema> = v.InferOutput<S>;

const PAGE_SIZE = 1_000;
const DISCOVER = { subject: DISCOVER_SUBJECT, message: {}, replySchema: DiscoverReply };

/**
 * Asks the head and the nodes of one cluster, by the wire protocol alone: it starts no job, owns nothing and so
 * changes nothing in what it looks at.
 */
export class ControlClient {
  readonly clusterId: ClusterId;
  readonly #transport: Transport;
  readonly #head: HeadClient;
  readonly #subjects: Subjects;

  private constructor(transport: Transport, clusterId: ClusterId) {
    this.#transport = transport;
    this.#head = new HeadClient(transport, clusterId, systemClock);
    this.clusterId = clusterId;
    this.#subjects = subjectsOf(clusterId);
  }

  /**
   * @throws ClusterUnavailableError when no head answers there.
   * @throws AuthenticationError when the token is refused.
   */
  static async connect(connection: Connection): Promise<ControlClient> {
    const transport = await connectNats({
      servers: [connection.url],
      token: connection.token,
      name: 'manta command',
      reconnect: false,
    });
    try {
      const { clusterId } = await requestOver(transport, DISCOVER);
      return new ControlClient(transport, clusterId);
    } catch (error) {
      await transport.close();
      if (!(error instanceof ClusterUnavailableError)) throw error;
      throw new ClusterUnavailableError(
        `a NATS server answers at ${connection.url}, but no Manta head behind it: ${error.message}`,
        { cause: error },
      );
    }
  }

  async nodes(): Promise<NodeInfo[]> {
    return (await this.#head.requestOnce('state.nodes', {}, StateNodesReply)).nodes;
  }

  /** All that match, page by page. */
  async *actors(filter: In<typeof StateActors> = {}): AsyncGenerator<ActorInfo> {
    let after: string | undefined;
    do {
      const query = { ...filter, limit: PAGE_SIZE, ...(after === undefined ? {} : { after }) };
      const page = await this.#head.requestOnce('state.actors', query, StateActorsReply);
      yield* page.actors;
      after = page.next;
    } while (after !== undefined);
  }

  async allActors(filter: In<typeof StateActors> = {}): Promise<ActorInfo[]> {
    const all: ActorInfo[] = [];
    for await (const actor of this.actors(filter)) all.push(actor);
    return all;
  }

  async jobs(): Promise<JobInfo[]> {
    return (await this.#head.requestOnce('state.jobs', {}, StateJobsReply)).jobs;
  }

  resources(): Promise<Out<typeof StateResourcesReply>> {
    return this.#head.requestOnce('state.resources', {}, StateResourcesReply);
  }

  tasks(jobId?: string): Promise<Out<typeof StateTasksReply>> {
    return this.#head.requestOnce(
      'state.tasks',
      jobId === undefined ? {} : { jobId },
      StateTasksReply,
    );
  }

  explain(request: In<typeof ActorExplain>): Promise<Explanation> {
    return this.#head.requestOnce('actor.explain', request, Explanation);
  }

  /** The nodes there are, to be asked what they and their processes hold. */
  async asked(): Promise<AskedCluster> {
    return { transport: this.#transport, subjects: this.#subjects, nodes: await this.nodes() };
  }

  async logs(nodeId: string, request: In<typeof NodeLogs>): Promise<Out<typeof NodeLogsReply>> {
    // Only the head makes node ids, so one that it told us is well formed.
    const subject = this.#subjects.node(nodeId as NodeId, 'logs');
    return requestOver(this.#transport, {
      subject,
      message: request,
      replySchema: NodeLogsReply,
    });
  }

  /** How far the head's clock is ahead of this machine's; undefined when the head does not say. */
  async clockSkewMs(clock: Clock): Promise<number | undefined> {
    const sentAt = clock.now();
    const { now } = await requestOver(this.#transport, DISCOVER);
    return now === undefined ? undefined : now - (sentAt + clock.now()) / 2;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}

/** Runs with a client that is closed on every way out. */
export async function withClient<T>(
  connection: Connection,
  action: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const client = await ControlClient.connect(connection);
  try {
    return await action(client);
  } finally {
    await client.close();
  }
}
