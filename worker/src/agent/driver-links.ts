import type { Channel } from '@manta/runtime/channel/channel';
import type { NodeId, ProcessId } from '@manta/runtime/ids';
import type { Clock } from '@manta/runtime/time/clock';
import type { NodeEvent } from '@manta/runtime/wire/messages';

/** A driver whose link broke, and that lives, is back by then. */
const RELINK_GRACE_MS = 1_500;

export interface DriverLinksOptions {
  clock: Clock;
  /** False while the broker is away: links that run over it break, and nobody can make new ones. */
  isConnected(): boolean;
  onLinked(processId: ProcessId): void;
  onEnded(processId: ProcessId): void;
}

interface Driver {
  channels: Set<Channel>;
  cancelEnd: (() => void) | undefined;
}

/**
 * A driver keeps a channel open to an agent for as long as it lives: when the last one of a driver closes and no other
 * follows, the driver is gone, however it ended.
 */
export class DriverLinks {
  private readonly options: DriverLinksOptions;
  private readonly linked = new Map<ProcessId, Driver>();
  private closing = false;

  constructor(options: DriverLinksOptions) {
    this.options = options;
  }

  get drivers(): ProcessId[] {
    return [...this.linked.keys()];
  }

  /** The driver at the other end said that this channel is its sign of life. */
  link(channel: Channel): void {
    const { processId } = channel.peer;
    let driver = this.linked.get(processId);
    if (driver === undefined) {
      driver = { channels: new Set(), cancelEnd: undefined };
      this.linked.set(processId, driver);
      this.options.onLinked(processId);
    }
    driver.cancelEnd?.();
    if (driver.channels.has(channel)) return;
    driver.channels.add(channel);
    channel.onClose(() => this.closed(processId, channel));
  }

  /** The node goes, the drivers stay: their links ending now says nothing. */
  close(): void {
    this.closing = true;
    for (const driver of this.linked.values()) driver.cancelEnd?.();
  }

  private closed(processId: ProcessId, channel: Channel): void {
    const driver = this.linked.get(processId);
    if (driver === undefined || !driver.channels.delete(channel)) return;
    if (driver.channels.size === 0) this.endLater(processId, driver);
  }

  private endLater(processId: ProcessId, driver: Driver): void {
    if (this.closing) return;
    driver.cancelEnd?.();
    driver.cancelEnd = this.options.clock.after(RELINK_GRACE_MS, () => {
      if (driver.channels.size > 0) return;
      if (!this.options.isConnected()) {
        this.endLater(processId, driver);
        return;
      }
      this.linked.delete(processId);
      this.options.onEnded(processId);
    });
  }
}

export function driverEnded(processId: ProcessId, nodeId: NodeId): NodeEvent {
  const message = `the driver ${processId} closed its link to node ${nodeId}`;
  return { type: 'process-ended', processId, cause: { kind: 'process-died', message, nodeId } };
}
