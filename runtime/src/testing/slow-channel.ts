import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';

/** One end of a channel whose records arrive one by one, when the test says so. */
export class SlowChannel implements Channel {
  readonly peer: Channel['peer'];
  other!: SlowChannel;
  readonly inbox: ChannelRecord[] = [];
  /** The other side is gone: what is in the inbox is still delivered, then the end. */
  isEnding = false;
  isClosed = false;
  #handler: ((record: ChannelRecord, segments: readonly Uint8Array[]) => void) | undefined;
  readonly #closeListeners: ((reason: MantaError) => void)[] = [];

  constructor(peer: ProcessId) {
    this.peer = { processId: peer, role: 'host' };
  }

  get hasNews(): boolean {
    return !this.isClosed && (this.inbox.length > 0 || this.isEnding);
  }

  send(record: ChannelRecord): void {
    if (!this.isClosed && !this.other.isEnding) this.other.inbox.push(record);
  }

  deliver(): void {
    const record = this.inbox.shift();
    if (record !== undefined) {
      this.#handler?.(record, []);
      return;
    }
    this.isClosed = true;
    for (const listener of this.#closeListeners) listener(new ClusterUnavailableError('gone'));
  }

  onRecord(handler: (record: ChannelRecord, segments: readonly Uint8Array[]) => void): void {
    this.#handler = handler;
  }
  onClose(listener: (reason: MantaError) => void): void {
    this.#closeListeners.push(listener);
  }
  onSegment(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
}
