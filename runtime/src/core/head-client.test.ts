import { expect, it } from 'vitest';
import { errorFromReply } from './head-client.ts';

it.each(['NameTakenError', 'InvalidArgumentError', 'ActorNotFoundError', 'ProtocolError'])(
  'gives the class that a reply names: %s',
  (name) => {
    expect(errorFromReply({ name, message: 'no' })).toMatchObject({ name, message: 'no' });
  },
);

it.each(['ActorDiedError', 'TaskError', 'InfeasibleError', 'SerializationError', 'toString', ''])(
  'takes what words alone do not make for a breach of the protocol: %j',
  (name) => {
    expect(errorFromReply({ name, message: 'no' })).toMatchObject({
      name: 'ProtocolError',
      message: `${name}: no`,
    });
  },
);
