import type { CoreProcess } from '@manta/runtime/core/core-process';
import { addressRecord } from '@manta/runtime/rpc/address-record';
import { RECORD } from '@manta/runtime/rpc/records';
import type { ProcessAddress } from '@manta/runtime/wire/messages';

const RETRY_MS = 500;

interface LinkOptions {
  core: CoreProcess;
  /** Announces the job again and gives the agent to link to; undefined when there is no node. */
  startJob(): Promise<ProcessAddress | undefined>;
  /** The agent that knows of this driver now. */
  onLinked(agent: ProcessAddress): Promise<void>;
}

/**
 * A connection to a node's agent, which is told that it is this driver's sign of life: when this process dies, the kernel closes it, and the agent
 * tells the head. A driver with a busy event loop keeps it. When the agent goes, another one is found.
 */
export class LivenessLink {
  readonly #options: LinkOptions;
  #closed = false;
  #isWarned = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  async open(address: ProcessAddress | undefined): Promise<void> {
    const { core } = this.#options;
    if (address === undefined) {
      this.#retryLater();
      return;
    }
    try {
      const connection = await core.connect(address);
      connection.channel.send([RECORD.link, addressRecord(core.address)]);
      this.#isWarned = false;
      connection.onLost(() => this.#retryLater());
      await this.#options.onLinked(address);
    } catch (error) {
      this.#warn(error);
      this.#retryLater();
    }
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#options.core.clock.after(RETRY_MS, () => void this.#retry(), { unref: true });
  }

  async #retry(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.open(await this.#options.startJob());
    } catch (error) {
      this.#warn(error);
      this.#retryLater();
    }
  }

  /** Once per outage. */
  #warn(error: unknown): void {
    if (this.#isWarned) return;
    this.#isWarned = true;
    this.#options.core.warn('no agent could be linked to; trying again until one can', error);
  }

  close(): void {
    this.#closed = true;
  }
}
