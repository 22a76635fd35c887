import type { ChannelRecord } from '../channel/channel.ts';
import { RECORD } from '../rpc/records.ts';
import { FakeChannel } from './fake-channel.ts';

/** The asking end of a channel: keeps what was sent while it was open, and answers when the test says so. */
export class AskedChannel extends FakeChannel {
  readonly sent: ChannelRecord[] = [];

  send(record: ChannelRecord): void {
    if (this.isOpen) this.sent.push(record);
  }

  /** The last record has been heard. */
  acknowledge(): void {
    this.arrive([RECORD.result, this.sent.at(-1)?.[1], null]);
  }
}
