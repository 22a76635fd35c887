import type { Channel } from '@manta/runtime/channel/channel';
import type { ProcessId } from '@manta/runtime/ids';

export interface DriverLinkListener {
  linked(processId: ProcessId): void;
  ended(processId: ProcessId): void;
}

/**
 * A driver keeps a channel open to an agent for as long as it lives: when the last one of a driver closes, the driver
 * is gone, however it ended.
 */
export class DriverLinks {
  private readonly links = new Map<ProcessId, Set<Channel>>();
  private readonly listener: DriverLinkListener;
  private closing = false;

  constructor(listener: DriverLinkListener) {
    this.listener = listener;
  }

  get drivers(): ProcessId[] {
    return [...this.links.keys()];
  }

  accept(channel: Channel): void {
    const { processId, role } = channel.peer;
    if (role !== 'driver') {
      channel.close();
      return;
    }
    const channels = this.links.get(processId) ?? new Set<Channel>();
    this.links.set(processId, channels.add(channel));
    if (channels.size === 1) this.listener.linked(processId);
    // A link carries nothing; reading it is what shows its end.
    channel.onRecord(() => undefined);
    channel.onClose(() => this.closed(processId, channel));
  }

  /** The node goes, the drivers stay: their links ending now says nothing. */
  close(): void {
    this.closing = true;
  }

  private closed(processId: ProcessId, channel: Channel): void {
    const channels = this.links.get(processId);
    if (this.closing || !channels?.delete(channel) || channels.size > 0) return;
    this.links.delete(processId);
    this.listener.ended(processId);
  }
}
