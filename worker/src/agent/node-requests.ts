import type { JobId, NodeId } from '@manta/runtime/ids';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import type { Transport, Subscription } from '@manta/runtime/transport/transport';
import { NodeJobLogs, NodeLogs, type NodeLogsReply } from '@manta/runtime/wire/log-messages';
import { NodeCommands, type Acknowledgement } from '@manta/runtime/wire/messages';
import { NodeObjects, type NodeObjectsReply } from '@manta/runtime/wire/object-messages';
import type { NodeOperation, Subjects } from '@manta/runtime/wire/subjects';
import type { InferOutput } from 'valibot';
import { answer } from './answer.ts';

export interface NodeRequestsOptions {
  transport: Transport;
  subjects: Subjects;
  readonly onCommands: (commands: NodeCommands) => void;
  readonly onLogs: (
    query: InferOutput<typeof NodeLogs>,
  ) => Promise<InferOutput<typeof NodeLogsReply>>;
  readonly onJobLogs: (jobId: JobId) => Promise<void>;
  readonly onObjects: (query: NodeObjects) => Promise<NodeObjectsReply>;
}

const ACKNOWLEDGED: InferOutput<typeof Acknowledgement> = { ok: true };

/** What others may ask of this node by its id. 'ping' is answered by the heartbeat thread. */
export class NodeRequests {
  private readonly options: NodeRequestsOptions;
  private subscriptions: Subscription[] = [];

  constructor(options: NodeRequestsOptions) {
    this.options = options;
  }

  /** Takes requests for this id from now on, and for no other. */
  listen(nodeId: NodeId): void {
    this.close();
    const { onCommands, onLogs, onJobLogs, onObjects } = this.options;
    this.subscriptions = [
      this.on(nodeId, 'commands', (payload) => {
        onCommands(decodeControl(NodeCommands, payload));
        return ACKNOWLEDGED;
      }),
      this.on(nodeId, 'logs', (payload) => onLogs(decodeControl(NodeLogs, payload))),
      this.on(nodeId, 'job-logs', async (payload) => {
        await onJobLogs(decodeControl(NodeJobLogs, payload).jobId);
        return ACKNOWLEDGED;
      }),
      this.on(nodeId, 'objects', (payload) => onObjects(decodeControl(NodeObjects, payload))),
    ];
  }

  close(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  private on(
    nodeId: NodeId,
    operation: NodeOperation,
    handle: (payload: Uint8Array) => unknown,
  ): Subscription {
    const { transport, subjects } = this.options;
    return transport.subscribe(subjects.node(nodeId, operation), (payload, _subject, reply) =>
      answer(reply, () => handle(payload)),
    );
  }
}
