import type * as v from 'valibot';
import * as errors from '../errors/errors.ts';
import { ClusterUnavailableError, MantaError, ProtocolError } from '../errors/errors.ts';
import type { ClusterId } from '../ids.ts';
import { decodeControl, encodeControl } from '../serialization/control-codec.ts';
import type { Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';
import { DiscoverReply, ErrorReply } from '../wire/messages.ts';
import { DISCOVER_SUBJECT, subjectsOf, type HeadOperation } from '../wire/subjects.ts';

const ATTEMPT_TIMEOUT_MS = 5_000;
const RETRY_DELAY_MS = 50;
const RETRY_DELAY_MAX_MS = 500;
const REQUEST_TIMEOUT_MS = 60_000;

/**
 * Requests to the head that outlast a restart of it: every operation is idempotent, so an attempt without an answer
 * is simply made again until the deadline.
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

  /** @throws the head's error, or ClusterUnavailableError when no head answered before the deadline. */
  async request<S extends v.GenericSchema>(
    operation: HeadOperation,
    message: unknown,
    replySchema: S,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<v.InferOutput<S>> {
    const payload = encodeControl(message);
    const deadline = this.#clock.now() + timeoutMs;
    for (let delayMs = RETRY_DELAY_MS; ; delayMs = Math.min(2 * delayMs, RETRY_DELAY_MAX_MS)) {
      const remainingMs = deadline - this.#clock.now();
      try {
        const reply = await this.#transport.request(this.#subjects.head(operation), payload, {
          timeoutMs: Math.max(1, Math.min(ATTEMPT_TIMEOUT_MS, remainingMs)),
        });
        return decodeReply(reply, replySchema);
      } catch (error) {
        if (!MantaError.is(error, 'ClusterUnavailableError') || this.#transport.status === 'closed')
          throw error;
        if (this.#clock.now() + delayMs >= deadline) {
          throw new ClusterUnavailableError(
            `No head answered ${operation} within ${timeoutMs} ms.`,
            { cause: error },
          );
        }
        await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve));
      }
    }
  }
}

function decodeReply<S extends v.GenericSchema>(reply: Uint8Array, schema: S): v.InferOutput<S> {
  try {
    return decodeControl(schema, reply);
  } catch (error) {
    let refusal: v.InferOutput<typeof ErrorReply>;
    try {
      refusal = decodeControl(ErrorReply, reply);
    } catch {
      throw error;
    }
    throw errorFromReply(refusal.error);
  }
}

/** Builds the error class that a reply names. */
export function errorFromReply(error: { name: string; message: string }): MantaError {
  const { name, message } = error;
  const candidate = (errors as Record<string, unknown>)[name];
  if (
    typeof candidate === 'function' &&
    candidate.prototype instanceof MantaError &&
    candidate.length <= 2
  ) {
    return new (candidate as new (text: string) => MantaError)(message);
  }
  return new ProtocolError(`${name}: ${message}`);
}

/** Asks the heads on this bus which cluster they are. @throws ClusterUnavailableError when none answers. */
export async function discoverCluster(
  transport: Transport,
  timeoutMs: number,
  clock: Clock,
): Promise<v.InferOutput<typeof DiscoverReply>> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    try {
      const reply = await transport.request(DISCOVER_SUBJECT, encodeControl({}), {
        timeoutMs: Math.max(1, Math.min(1_000, deadline - clock.now())),
      });
      return decodeControl(DiscoverReply, reply);
    } catch (error) {
      if (
        !MantaError.is(error, 'ClusterUnavailableError') ||
        clock.now() + RETRY_DELAY_MS >= deadline
      )
        throw error;
      await new Promise<void>((resolve) => clock.after(RETRY_DELAY_MS, resolve));
    }
  }
}
