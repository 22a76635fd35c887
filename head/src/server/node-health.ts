import type { NodeId } from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import { NobodyListensError } from '@manta/runtime/transport/nobody-listens';
import type { Transport } from '@manta/runtime/transport/transport';
import { NodePingReply } from '@manta/runtime/wire/messages';
import type { Subjects } from '@manta/runtime/wire/subjects';
import { BrokerContact } from '../health/broker-contact.ts';
import {
  FailureDetector,
  type DetectionTimes,
  type DetectorEffect,
} from '../health/failure-detector.ts';
import type { Cluster } from '../tables/cluster.ts';
import { changeNode } from '../tables/nodes.ts';
import type { HeadLogger } from './head-logger.ts';

export interface NodeHealthOptions {
  readonly cluster: Cluster;
  readonly times: DetectionTimes;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly subjects: Subjects;
  readonly logger: HeadLogger;
  /** The tables have changed. */
  readonly onChanged: () => void;
  /** Asked whether it lives, it has answered. */
  readonly onAnswered: (nodeId: NodeId) => void;
  /** Asked whether it lives, and nobody listens there: neither is anybody for commands. */
  readonly onUnheard: (nodeId: NodeId) => void;
  readonly onInvalidAnswer: (message: string) => void;
}

/** Carries out what the failure detector wants, and tells the tables what it finds. */
export class NodeHealth {
  readonly #options: NodeHealthOptions;
  readonly #detector: FailureDetector;
  readonly #broker: BrokerContact;
  #isClosed = false;

  constructor(options: NodeHealthOptions) {
    this.#options = options;
    this.#detector = new FailureDetector(options.times);
    this.#broker = new BrokerContact(options, options.times.heartbeatIntervalMs);
  }

  watch(nodeId: NodeId): void {
    this.#detector.watch(nodeId);
  }

  forget(nodeId: NodeId): void {
    this.#detector.forget(nodeId);
  }

  heard(nodeId: NodeId): void {
    this.#apply(this.#detector.heard(nodeId));
  }

  /** Nothing new goes there until it is heard. */
  doubt(nodeId: NodeId, reason: string): void {
    this.#apply(this.#detector.doubt(nodeId, reason));
  }

  /** It may be gone: it is asked, and doubted if nobody listens there. */
  probe(nodeId: NodeId): void {
    if (!this.#isClosed) this.#ping(nodeId);
  }

  tick(now: number): void {
    if (this.#broker.check()) this.#apply(this.#detector.tick(now));
    else this.#detector.skip(now);
  }

  close(): void {
    this.#isClosed = true;
  }

  #apply(effects: readonly DetectorEffect[]): void {
    const { cluster, clock, logger, onChanged } = this.#options;
    const now = clock.now();
    for (const effect of effects) {
      const { nodeId } = effect;
      if (effect.type === 'ping') {
        this.#ping(nodeId);
        continue;
      }
      logger.warn({ nodeId, event: effect.type }, 'node health changed');
      if (effect.type === 'suspect')
        changeNode(cluster, nodeId, { type: 'silent', reason: effect.reason }, now);
      else if (effect.type === 'heard') changeNode(cluster, nodeId, { type: 'heard' }, now);
      else {
        const reason = `no sign of life for ${effect.silentMs} ms`;
        changeNode(cluster, nodeId, { type: 'gone', reason }, now);
      }
      onChanged();
    }
  }

  /** The second opinion: the node may be alive although its heartbeats do not come through. */
  #ping(nodeId: NodeId): void {
    const { cluster, transport, subjects, times } = this.#options;
    const { onAnswered, onUnheard, onInvalidAnswer } = this.#options;
    const subject = subjects.node(nodeId, 'ping');
    const sessionId = cluster.nodes.get(nodeId)?.record.registration.sessionId;
    transport
      .request(subject, encodeControl({}), { timeoutMs: times.pingTimeoutMs })
      .then(
        (reply) => {
          if (this.#isClosed) return;
          if (decodeControl(NodePingReply, reply).sessionId === sessionId) onAnswered(nodeId);
        },
        // No answer is the answer: the detector goes on counting.
        (error: unknown) => {
          if (!(error instanceof NobodyListensError) || this.#isClosed) return;
          this.doubt(nodeId, 'it does not listen');
          onUnheard(nodeId);
        },
      )
      .catch((error: unknown) => onInvalidAnswer(String(error)));
  }
}
