import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import type { ProcessId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import type { Clock } from '@manta/runtime/time/clock';

type Question =
  typeof RECORD.storeReclaim | typeof RECORD.storeCandidates | typeof RECORD.storeEvict;

/** The processes attached to the store, and the agent's questions to them. */
export class StoreProcesses {
  readonly #clock: Clock;
  readonly #attached = new Map<ProcessId, AttachedProcess>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get ids(): ProcessId[] {
    return [...this.#attached.keys()];
  }

  has(processId: ProcessId): boolean {
    return this.#attached.has(processId);
  }

  /** A process that attaches anew is asked over its new channel. */
  attach(channel: Channel): void {
    const { processId } = channel.peer;
    this.#attached.get(processId)?.lose();
    const attached = new AttachedProcess(channel);
    this.#attached.set(processId, attached);
    channel.onClose(() => {
      attached.lose();
      if (this.#attached.get(processId) === attached) this.#attached.delete(processId);
    });
  }

  tell(processId: ProcessId, record: ChannelRecord): void {
    this.#attached.get(processId)?.channel.send(record);
  }

  /** An answer to a question; false: the record is something else. */
  receive(channel: Channel, record: ChannelRecord): boolean {
    if (record[0] !== RECORD.result && record[0] !== RECORD.failure) return false;
    const attached = this.#attached.get(channel.peer.processId);
    if (attached?.channel === channel)
      attached.answered(record[1] as number, record[0] === RECORD.result ? record[2] : undefined);
    return true;
  }

  /** Undefined: not answered in time, failed, or the process is gone. */
  async ask(
    processId: ProcessId,
    question: Question,
    argument: unknown,
    timeoutMs: number,
  ): Promise<unknown> {
    const answer = this.askPatiently(processId, question, argument);
    let cancel: () => void = () => undefined;
    const late = new Promise<undefined>((resolve) => {
      cancel = this.#clock.after(timeoutMs, () => resolve(undefined), { unref: true });
    });
    const first = await Promise.race([answer, late]);
    cancel();
    return first;
  }

  /** Undefined: it failed, or the process is gone. */
  askPatiently(processId: ProcessId, question: Question, argument: unknown): Promise<unknown> {
    const attached = this.#attached.get(processId);
    return attached === undefined ? Promise.resolve(undefined) : attached.ask(question, argument);
  }
}

class AttachedProcess {
  readonly channel: Channel;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #nextCall = 1;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  ask(question: Question, argument: unknown): Promise<unknown> {
    const call = this.#nextCall++;
    this.channel.send([question, call, argument]);
    return new Promise((resolve) => this.#waiting.set(call, resolve));
  }

  answered(call: number, answer: unknown): void {
    this.#waiting.get(call)?.(answer);
    this.#waiting.delete(call);
  }

  lose(): void {
    for (const resolve of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }
}
