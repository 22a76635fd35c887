import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import * as v from 'valibot';
import { AuthenticationError, ProtocolError } from '../errors/errors.ts';
import { parseId, type ProcessId } from '../ids.ts';
import type { ChannelPeer } from './channel.ts';

/**
 * Mutual proof that both ends know the cluster's join token, without sending it (docs/protocol.md):
 *
 *     1. caller → listener   hello     {nonce, self}
 *     2. listener → caller   challenge {nonce, self, proof}   proof = HMAC(token, 'listener' + both nonces + both selves)
 *     3. caller → listener   answer    {proof}                proof = HMAC(token, 'caller'   + the same)
 *
 * The caller may send records right behind its answer.
 */
export interface Hello {
  nonce: Buffer;
  self: ChannelPeer;
}

const NONCE_BYTES = 16;
const bytesOf = (length: number) =>
  v.pipe(
    v.custom<Uint8Array>(
      (value) => value instanceof Uint8Array && value.length === length,
      'wrong length',
    ),
    v.transform((value) => Buffer.from(value)),
  );
const Peer = v.object({
  processId: v.custom<ProcessId>((value) => parseId('process', value) !== undefined),
  role: v.picklist(['driver', 'host', 'agent']),
});
const HelloMessage = v.object({ nonce: bytesOf(NONCE_BYTES), self: Peer });
const ChallengeMessage = v.object({ nonce: bytesOf(NONCE_BYTES), self: Peer, proof: bytesOf(32) });
const AnswerMessage = v.object({ proof: bytesOf(32) });

export function createHello(self: ChannelPeer): Hello {
  return { nonce: randomBytes(NONCE_BYTES), self };
}

/** The listener's side: `challenge` is to be sent, `accept` checks the caller's answer and names it. */
export function challengeFor(
  message: unknown,
  self: ChannelPeer,
  token: string,
): {
  challenge: unknown;
  accept(answer: unknown): ChannelPeer;
} {
  const hello = parse(HelloMessage, message);
  const nonce = randomBytes(NONCE_BYTES);
  const proofOf = prover(token, hello, { nonce, self });
  return {
    challenge: { nonce, self, proof: proofOf('listener') },
    accept(answer) {
      const { proof } = parse(AnswerMessage, answer);
      if (!timingSafeEqual(proof, proofOf('caller'))) {
        throw new AuthenticationError(
          "A channel was refused: the caller does not know this cluster's token.",
        );
      }
      return hello.self;
    },
  };
}

/** The caller's side: checks the listener's proof and gives the answer to send. */
export function answerFor(
  message: unknown,
  hello: Hello,
  token: string,
): { peer: ChannelPeer; answer: unknown } {
  const challenge = parse(ChallengeMessage, message);
  const proofOf = prover(token, hello, challenge);
  if (!timingSafeEqual(challenge.proof, proofOf('listener'))) {
    throw new AuthenticationError(
      "The process at that address does not know this cluster's token.",
    );
  }
  return { peer: challenge.self, answer: { proof: proofOf('caller') } };
}

function prover(
  token: string,
  caller: Hello,
  listener: Hello,
): (side: 'caller' | 'listener') => Buffer {
  return (side) =>
    createHmac('sha256', token)
      .update(`manta-channel-1 ${side}\0${caller.self.processId} ${caller.self.role}\0`)
      .update(`${listener.self.processId} ${listener.self.role}\0`)
      .update(caller.nonce)
      .update(listener.nonce)
      .digest();
}

function parse<T extends v.GenericSchema>(schema: T, message: unknown): v.InferOutput<T> {
  const result = v.safeParse(schema, message);
  if (!result.success) throw new ProtocolError('A channel handshake with a malformed message.');
  return result.output;
}
