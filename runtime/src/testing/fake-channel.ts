import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';

type RecordHandler = Parameters<Channel['onRecord']>[0];

/** One end of a channel without a wire: what arrives, and when it ends, its subclass says. */
export abstract class FakeChannel implements Channel {
  readonly peer: Channel['peer'];
  isOpen = true;
  #handler: RecordHandler | undefined;
  readonly #closeListeners: ((reason: MantaError) => void)[] = [];

  constructor(peer: ProcessId) {
    this.peer = { processId: peer, role: 'host' };
  }

  abstract send(record: ChannelRecord): void;

  sendBytes(kind: number, number: number, bytes: Uint8Array, isBuffer: boolean): void {
    this.send([kind, number, isBuffer ? [bytes, 1] : [bytes]]);
  }

  /** What the other side has sent. */
  protected arrive(record: ChannelRecord): void {
    this.#handler?.(record, []);
  }

  /** The other side is gone. */
  break(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const { processId } = this.peer;
    for (const listener of this.#closeListeners)
      listener(new ClusterUnavailableError(`Process ${processId} is gone.`));
  }

  onRecord(handler: RecordHandler): void {
    this.#handler = handler;
  }
  onClose(listener: (reason: MantaError) => void): void {
    this.#closeListeners.push(listener);
  }
  onSegment(): void {}
  flush(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {
    this.break();
  }
}
