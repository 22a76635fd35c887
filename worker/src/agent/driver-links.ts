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
  /** `isLinked`: whether `onLinked` told of it before. */
  onEnded(processId: ProcessId, isLinked: boolean): void;
}

interface Driver {
  /** Each is a sign of life. */
  channels: Set<Channel>;
  isLinked: boolean;
  cancelEnd: (() => void) | undefined;
}

/**
 * A driver keeps a channel open to an agent for as long as it lives: when the last one of a driver closes and no other
 * follows, the driver is gone, however it ended.
 */
export class DriverLinks {
  private readonly options: DriverLinksOptions;
  private readonly known = new Map<ProcessId, Driver>();
  private closing = false;

  constructor(options: DriverLinksOptions) {
    this.options = options;
  }

  get drivers(): ProcessId[] {
    return [...this.known].filter(([, { isLinked }]) => isLinked).map(([driver]) => driver);
  }

  /** The driver at the other end said that this channel is its sign of life. */
  link(channel: Channel): void {
    const driver = this.watch(channel);
    if (driver.isLinked) return;
    driver.isLinked = true;
    this.options.onLinked(channel.peer.processId);
  }

  /** The driver stores values here, whether it has said so already or not: when it is gone, they are nobody's. */
  attach(channel: Channel): void {
    this.watch(channel);
  }

  private watch(channel: Channel): Driver {
    const { processId } = channel.peer;
    let driver = this.known.get(processId);
    if (driver === undefined) {
      driver = { channels: new Set(), isLinked: false, cancelEnd: undefined };
      this.known.set(processId, driver);
    }
    driver.cancelEnd?.();
    if (driver.channels.has(channel)) return driver;
    driver.channels.add(channel);
    channel.onClose(() => this.closed(processId, channel));
    return driver;
  }

  /** The node goes, the drivers stay: their links ending now says nothing. */
  close(): void {
    this.closing = true;
    for (const driver of this.known.values()) driver.cancelEnd?.();
  }

  private closed(processId: ProcessId, channel: Channel): void {
    const driver = this.known.get(processId);
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
      this.known.delete(processId);
      this.options.onEnded(processId, driver.isLinked);
    });
  }
}

export function driverEnded(processId: ProcessId, nodeId: NodeId): NodeEvent {
  const message = `the driver ${processId} closed its link to node ${nodeId}`;
  return { type: 'process-ended', processId, cause: { kind: 'process-died', message, nodeId } };
}
