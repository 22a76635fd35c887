import { MantaError, ProtocolError } from '../errors/errors.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { Clock } from '../time/clock.ts';
import type { PeerConnection, PendingReply } from './peer-connection.ts';

/**
 * Sends a record that is answered by one result.
 * @throws the error of the answer, or why the connection was lost.
 */
export function ask(
  connection: PeerConnection,
  kind: number,
  ...fields: unknown[]
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const noStream = (): void => reject(new ProtocolError('A question was answered by a stream.'));
    const reply: PendingReply = {
      onResult: resolve,
      onFailure: (encodedError) => reject(decodeError(encodedError)),
      onStream: noStream,
      onItem: noStream,
      onEnd: noStream,
      onLost: (reason: MantaError) => reject(reason),
    };
    connection.channel.send([kind, connection.expect(reply), ...fields]);
  });
}

/** Before the second try on a new connection; twice as long before each that follows. */
const AGAIN_DELAY_MS = 100;
const AGAIN_DELAY_MAX_MS = 10_000;

/**
 * Sends a record that is answered when it has been heard, over as many connections as that takes: it may be heard more
 * than once. False: `connect` says that who should hear it is gone.
 */
export async function tell(
  clock: Clock,
  connect: () => Promise<PeerConnection>,
  kind: number,
  ...fields: unknown[]
): Promise<boolean> {
  for (let failures = 0; ; failures += 1) {
    let connection: PeerConnection;
    try {
      connection = await connect();
    } catch {
      return false;
    }
    try {
      await ask(connection, kind, ...fields);
      return true;
    } catch {
      // Whether it was heard is not known.
      if (failures > 0) await pause(clock, AGAIN_DELAY_MS * 2 ** (failures - 1));
    }
  }
}

function pause(clock: Clock, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(Math.min(milliseconds, AGAIN_DELAY_MAX_MS), resolve, { unref: true });
  });
}

/** Said of a connection that broke, or could not be made, and not by who was asked. */
export const isConnectionLost = (error: unknown): boolean =>
  MantaError.is(error, 'ClusterUnavailableError');
