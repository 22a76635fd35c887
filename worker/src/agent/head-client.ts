import {
  AuthenticationError,
  ClusterUnavailableError,
  InvalidArgumentError,
  MantaError,
  ProtocolError,
} from '@manta/runtime/errors/errors';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import { DiscoverReply, ErrorReply } from '@manta/runtime/wire/messages';
import { DISCOVER_SUBJECT, type HeadOperation, type Subjects } from '@manta/runtime/wire/subjects';
import * as v from 'valibot';

const REQUEST_TIMEOUT_MS = 5_000;
const DISCOVER_RETRY_MS = 50;

/** Errors that the head may answer with and that the agent tells apart. */
const ERROR_CLASSES: Record<string, new (message: string) => MantaError> = {
  AuthenticationError,
  ClusterUnavailableError,
  InvalidArgumentError,
  ProtocolError,
};

/** Asks the head, and turns its error replies into thrown errors. */
export class HeadClient {
  private readonly transport: Transport;
  private readonly subjects: Subjects;

  constructor(transport: Transport, subjects: Subjects) {
    this.transport = transport;
    this.subjects = subjects;
  }

  /**
   * @throws ClusterUnavailableError when no head answers in time.
   * @throws MantaError what the head answered with.
   */
  async request<S extends v.GenericSchema>(
    operation: HeadOperation,
    message: unknown,
    replySchema: S,
  ): Promise<v.InferOutput<S>> {
    const reply = await this.transport.request(
      this.subjects.head(operation),
      encodeControl(message),
      {
        timeoutMs: REQUEST_TIMEOUT_MS,
      },
    );
    return unwrap(reply, replySchema);
  }
}

/**
 * Which cluster is behind this connection; asks until a head answers.
 * @throws ClusterUnavailableError when none does until `deadlineMs` (epoch time).
 */
export async function discoverCluster(
  transport: Transport,
  clock: Clock,
  deadlineMs: number,
): Promise<v.InferOutput<typeof DiscoverReply>> {
  for (;;) {
    try {
      const reply = await transport.request(DISCOVER_SUBJECT, encodeControl({}), {
        timeoutMs: REQUEST_TIMEOUT_MS,
      });
      return unwrap(reply, DiscoverReply);
    } catch (error) {
      if (!isUnavailable(error) || clock.now() >= deadlineMs) throw error;
    }
    await new Promise<void>((resolve) => clock.after(DISCOVER_RETRY_MS, resolve));
  }
}

function unwrap<S extends v.GenericSchema>(reply: Uint8Array, schema: S): v.InferOutput<S> {
  const decoded: unknown = decodeControl(v.union([ErrorReply, schema]), reply);
  if (v.is(ErrorReply, decoded)) {
    const { name, message } = decoded.error;
    throw new (ERROR_CLASSES[name] ?? MantaError)(message);
  }
  return decoded as v.InferOutput<S>;
}

/** True for errors that pass when a head is there again; false for what the head itself answered. */
export function isUnavailable(error: unknown): boolean {
  return MantaError.is(error, 'ClusterUnavailableError');
}
