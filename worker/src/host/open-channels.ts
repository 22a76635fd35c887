import type { Channel } from '@manta/runtime/channel/channel';
import type { ProcessId } from '@manta/runtime/ids';

/** The channels that other processes have opened to this one. */
export class OpenChannels {
  readonly #channels = new Map<ProcessId, Channel>();

  /** Of several channels of one process the last one counts. */
  add(channel: Channel): void {
    const { processId } = channel.peer;
    this.#channels.set(processId, channel);
    channel.onClose(() => {
      if (this.#channels.get(processId) === channel) this.#channels.delete(processId);
    });
  }

  to(processId: ProcessId): Channel | undefined {
    return this.#channels.get(processId);
  }
}
