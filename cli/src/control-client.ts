import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import type { NodeId } from '@manta/runtime/ids';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import type { Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import {
  DiscoverReply,
  ErrorReply,
  Explanation,
  NodeLogsReply,
  type ActorExplain,
  type NodeLogs,
} from '@manta/runtime/wire/messages';
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
import {
  DISCOVER_SUBJECT,
  subjectsOf,
  type HeadOperation,
  type Subjects,
} from '@manta/runtime/wire/subjects';
import * as v from 'valibot';
import type { Connection } from './connection.ts';
import { errorOfName } from './roles/role-errors.ts';

type In<S extends v.GenericSchema> = v.InferInput<S>;
type Out<S extends v.GenericSchema> = v.InferOutput<S>;

const REQUEST_TIMEOUT_MS = 5_000;
const PAGE_SIZE = 1_000;

/**
 * Asks the head and the nodes of one cluster, by the wire protocol alone: it starts no job, owns nothing and so
 * changes nothing in what it looks at.
 */
export class ControlClient {
  readonly clusterId: string;
  readonly #transport: Transport;
  readonly #subjects: Subjects;

  private constructor(transport: Transport, clusterId: string) {
    this.#transport = transport;
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
      const reply = await transport.request(DISCOVER_SUBJECT, encodeControl({}), {
        timeoutMs: REQUEST_TIMEOUT_MS,
      });
      return new ControlClient(transport, decodeReply(DiscoverReply, reply).clusterId);
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
    return (await this.#head('state.nodes', {}, StateNodesReply)).nodes;
  }

  /** All that match, page by page. */
  async *actors(filter: In<typeof StateActors> = {}): AsyncGenerator<ActorInfo> {
    let after: string | undefined;
    do {
      const query = { ...filter, limit: PAGE_SIZE, ...(after === undefined ? {} : { after }) };
      const page = await this.#head('state.actors', query, StateActorsReply);
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
    return (await this.#head('state.jobs', {}, StateJobsReply)).jobs;
  }

  resources(): Promise<Out<typeof StateResourcesReply>> {
    return this.#head('state.resources', {}, StateResourcesReply);
  }

  tasks(jobId?: string): Promise<Out<typeof StateTasksReply>> {
    return this.#head('state.tasks', jobId === undefined ? {} : { jobId }, StateTasksReply);
  }

  explain(request: In<typeof ActorExplain>): Promise<Explanation> {
    return this.#head('actor.explain', request, Explanation);
  }

  async logs(nodeId: string, request: In<typeof NodeLogs>): Promise<Out<typeof NodeLogsReply>> {
    // Only the head makes node ids, so one that it told us is well formed.
    const subject = this.#subjects.node(nodeId as NodeId, 'logs');
    return this.#request(subject, request, NodeLogsReply);
  }

  /** How far the head's clock is ahead of this machine's; undefined when the head does not say. */
  async clockSkewMs(clock: Clock): Promise<number | undefined> {
    const sentAt = clock.now();
    const { now } = await this.#request(DISCOVER_SUBJECT, {}, DiscoverReply);
    return now === undefined ? undefined : now - (sentAt + clock.now()) / 2;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #head<S extends v.GenericSchema>(
    operation: HeadOperation,
    message: unknown,
    schema: S,
  ): Promise<Out<S>> {
    return this.#request(this.#subjects.head(operation), message, schema);
  }

  async #request<S extends v.GenericSchema>(
    subject: string,
    message: unknown,
    schema: S,
  ): Promise<Out<S>> {
    const reply = await this.#transport.request(subject, encodeControl(message), {
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    return decodeReply(schema, reply);
  }
}

function decodeReply<S extends v.GenericSchema>(schema: S, bytes: Uint8Array): Out<S> {
  const reply = decodeControl(v.union([ErrorReply, schema]), bytes);
  if (v.is(ErrorReply, reply)) throw errorOfName(reply.error.name, reply.error.message);
  return reply as Out<S>;
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
