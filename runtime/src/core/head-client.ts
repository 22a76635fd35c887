import * as v from 'valibot';
import * as errors from '../errors/errors.ts';
import { ClusterUnavailableError, ProtocolError, type MantaError } from '../errors/errors.ts';
import type { ClusterId } from '../ids.ts';
import { decodeControl, encodeControl } from '../serialization/control-codec.ts';
import type { Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';
import { DiscoverReply, ErrorReply } from '../wire/messages.ts';
import { DISCOVER_SUBJECT, subjectsOf, type HeadOperation } from '../wire/subjects.ts';
import { isUnavailable, whileUnavailable } from './while-unavailable.ts';

const ATTEMPT_TIMEOUT_MS = 5_000;
const DISCOVERY_ATTEMPT_TIMEOUT_MS = 1_000;
const DISCOVERY_DELAY_MS = 50;
export const REQUEST_TIMEOUT_MS = 60_000;

/**
 * Requests to the head. Every operation is idempotent, so an attempt without an answer can simply be made again.
 */
export class HeadClient {
  readonly #transport: Transport;
  readonly #subjects;
  readonly #clock: Clock;

  constructor(transport: Transport, clusterId: ClusterId, clock: Clock) {
    this.#transport = transport;
    this.#subjects = subjectsOf(clusterId);
    this.#clock = clock;
  }

  /**
   * Outlasts a restart of the head.
   * @throws the head's error, or ClusterUnavailableError when no head answered before the deadline.
   */
  async request<S extends v.GenericSchema>(
    operation: HeadOperation,
    message: unknown,
    replySchema: S,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<v.InferOutput<S>> {
    const isOver = (): boolean => this.#transport.status === 'closed';
    const attempt = (remainingMs: number): Promise<v.InferOutput<S>> => {
      const attemptTimeoutMs = Math.min(ATTEMPT_TIMEOUT_MS, remainingMs);
      return this.requestOnce(operation, message, replySchema, attemptTimeoutMs);
    };
    try {
      return await whileUnavailable(attempt, { clock: this.#clock, timeoutMs, isOver });
    } catch (error) {
      if (!isUnavailable(error) || isOver()) throw error;
      throw new ClusterUnavailableError(`No head answered ${operation} within ${timeoutMs} ms.`, {
        cause: error,
      });
    }
  }

  /** A single attempt. @throws the head's error, or ClusterUnavailableError when no head answers in time. */
  requestOnce<S extends v.GenericSchema>(
    operation: HeadOperation,
    message: unknown,
    replySchema: S,
    timeoutMs = ATTEMPT_TIMEOUT_MS,
  ): Promise<v.InferOutput<S>> {
    const subject = this.#subjects.head(operation);
    return requestOver(this.#transport, { subject, message, replySchema, timeoutMs });
  }
}

export interface ControlRequest<S extends v.GenericSchema> {
  subject: string;
  message: unknown;
  replySchema: S;
  /** Default 5 s. */
  timeoutMs?: number;
}

/**
 * One question on the control plane, to the head or to a node.
 * @throws the error that came as the answer, or ClusterUnavailableError when none came in time.
 */
export async function requestOver<S extends v.GenericSchema>(
  transport: Transport,
  { subject, message, replySchema, timeoutMs = ATTEMPT_TIMEOUT_MS }: ControlRequest<S>,
): Promise<v.InferOutput<S>> {
  const bytes = await transport.request(subject, encodeControl(message), { timeoutMs });
  const reply: unknown = decodeControl(v.union([ErrorReply, replySchema]), bytes);
  if (v.is(ErrorReply, reply)) throw errorFromReply(reply.error);
  return reply as v.InferOutput<S>;
}

/** What heads and nodes refuse with. Errors that carry more than words travel encoded, not in such replies. */
const ANSWERS: Readonly<Record<string, new (message: string) => MantaError>> = {
  ActorNotFoundError: errors.ActorNotFoundError,
  ActorUnavailableError: errors.ActorUnavailableError,
  AuthenticationError: errors.AuthenticationError,
  BackpressureError: errors.BackpressureError,
  ClusterUnavailableError,
  InvalidArgumentError: errors.InvalidArgumentError,
  NameTakenError: errors.NameTakenError,
  NodeDiedError: errors.NodeDiedError,
  ObjectStoreFullError: errors.ObjectStoreFullError,
  ProtocolError,
  RuntimeEnvSetupError: errors.RuntimeEnvSetupError,
};

/** The error that a reply names. */
export function errorFromReply(error: { name: string; message: string }): MantaError {
  const { name, message } = error;
  const answer = Object.hasOwn(ANSWERS, name) ? ANSWERS[name] : undefined;
  return answer === undefined ? new ProtocolError(`${name}: ${message}`) : new answer(message);
}

/** Asks the heads on this bus which cluster they are. @throws ClusterUnavailableError when none answers. */
export function discoverCluster(
  transport: Transport,
  timeoutMs: number,
  clock: Clock,
): Promise<v.InferOutput<typeof DiscoverReply>> {
  const attempt = (remainingMs: number): Promise<v.InferOutput<typeof DiscoverReply>> =>
    requestOver(transport, {
      subject: DISCOVER_SUBJECT,
      message: {},
      replySchema: DiscoverReply,
      timeoutMs: Math.min(DISCOVERY_ATTEMPT_TIMEOUT_MS, remainingMs),
    });
  return whileUnavailable(attempt, { clock, timeoutMs, delayMaxMs: DISCOVERY_DELAY_MS });
}
