import { MantaError, ProtocolError } from '../errors/errors.ts';
import { decodeError } from '../serialization/error-codec.ts';
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

/** Said of a connection that broke, or could not be made, and not by who was asked. */
export const isConnectionLost = (error: unknown): boolean =>
  MantaError.is(error, 'ClusterUnavailableError');
