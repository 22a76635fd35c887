import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import { BackpressureError, MantaError } from '@manta/runtime/errors/errors';
import type { ProcessId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import type { AgentLogger } from '../agent/agent-logger.ts';

/** Unanswered questions of one process. */
const OPEN_QUESTIONS_MAX = 10_000;

/** Answers what processes ask of the store; too many open questions of one are refused. */
export class StoreAnswers {
  readonly #logger: AgentLogger;
  readonly #open = new Map<ProcessId, number>();

  constructor(logger: AgentLogger) {
    this.#logger = logger;
  }

  /** With what `answer` resolves to, or fails with. */
  answer(channel: Channel, call: number, answer: () => Promise<unknown>): void {
    const { processId } = channel.peer;
    const open = this.#open.get(processId) ?? 0;
    if (open >= OPEN_QUESTIONS_MAX) {
      const error = new BackpressureError(`More than ${open} questions to the store are open.`);
      channel.send([RECORD.failure, call, encodeError(error)]);
      return;
    }
    this.#open.set(processId, open + 1);
    const respond = (record: ChannelRecord): void => {
      const left = (this.#open.get(processId) ?? 1) - 1;
      if (left === 0) this.#open.delete(processId);
      else this.#open.set(processId, left);
      channel.send(record);
    };
    answer().then(
      (value) => respond([RECORD.result, call, value]),
      (error: unknown) => {
        if (!MantaError.is(error))
          this.#logger.error({ error: String(error) }, 'the object store failed');
        respond([RECORD.failure, call, encodeError(error)]);
      },
    );
  }
}
