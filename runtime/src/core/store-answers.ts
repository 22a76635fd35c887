import type { ChannelRecord } from '../channel/channel.ts';
import { ProtocolError } from '../errors/errors.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { idsFrom } from '../rpc/record-fields.ts';
import { RECORD } from '../rpc/records.ts';
import { encodeError } from '../serialization/error-codec.ts';
import type { ProcessStore } from './process-store.ts';
import type { ProducedBlobs } from './produced-blobs.ts';

export interface StoreAnswerer {
  readonly store: ProcessStore;
  readonly produced: ProducedBlobs;
  readonly connection: PeerConnection;
  collectGarbage(): Promise<void>;
}

/** What the agent asks of a process that is attached to its store. @throws ProtocolError */
export async function answerAgent(answerer: StoreAnswerer, record: ChannelRecord): Promise<void> {
  if (record[0] === RECORD.storeRelease) {
    answerer.produced.release(idsFrom('blob', record[2]));
    return;
  }
  const { channel } = answerer.connection;
  const call = record[1];
  try {
    channel.send([RECORD.result, call, await answerTo(answerer, record)]);
  } catch (error) {
    channel.send([RECORD.failure, call, encodeError(error)]);
  }
}

async function answerTo(answerer: StoreAnswerer, record: ChannelRecord): Promise<unknown> {
  const { store, produced } = answerer;
  switch (record[0]) {
    case RECORD.storeReclaim: {
      await answerer.collectGarbage();
      store.sweep();
      const bytes = bytesOf(record[2]);
      return [bytes === 0 ? 0 : store.trim(bytes), store.statistics().liveBytes];
    }
    case RECORD.storeCandidates:
      return produced.candidates(bytesOf(record[2]));
    case RECORD.storeEvict:
      return produced.release(idsFrom('blob', record[2]));
    default:
      throw new ProtocolError(
        `The agent asked for something of unknown kind ${String(record[0])}.`,
      );
  }
}

function bytesOf(value: unknown): number {
  if (typeof value === 'number' && value >= 0) return value;
  throw new ProtocolError('A question of the store without a number of bytes.');
}
