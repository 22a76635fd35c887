import type { ChannelRecord } from '../channel/channel.ts';
import { FakeChannel } from './fake-channel.ts';

/** One end of a channel whose records arrive one by one, when the test says so. */
export class SlowChannel extends FakeChannel {
  other!: SlowChannel;
  readonly inbox: ChannelRecord[] = [];
  /** The other side is gone: what is in the inbox is still delivered, then the end. */
  isEnding = false;

  get hasNews(): boolean {
    return this.isOpen && (this.inbox.length > 0 || this.isEnding);
  }

  send(record: ChannelRecord): void {
    if (this.isOpen && !this.other.isEnding) this.other.inbox.push(record);
  }

  /** The connection ends: of what is under way to this side the last `lost` records do not arrive. */
  endAfterLosing(lost: number): void {
    this.inbox.length -= Math.min(this.inbox.length, lost);
    this.isEnding = true;
  }

  deliver(): void {
    const record = this.inbox.shift();
    if (record === undefined) this.break();
    else this.arrive(record);
  }

  /** Processes of the test end, and their channels with them: none closes one alone. */
  override close(): void {}
}
