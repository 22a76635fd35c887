import type { ProcessId } from '@manta/runtime/ids';
import { encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Transport } from '@manta/runtime/transport/transport';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { Subjects } from '@manta/runtime/wire/subjects';

/** Where more drivers share a node, each host would have many channels that nobody uses. */
const DRIVERS_TOLD_MAX = 4;

export interface HostAnnouncementsOptions {
  transport: Pick<Transport, 'publish' | 'status'>;
  subjects: Pick<Subjects, 'processUpdates'>;
  /** Drivers that are linked to this agent: they run on its machine. */
  drivers(): readonly ProcessId[];
  /** Hosts that wait for their first actor. */
  readyHosts(): readonly ProcessAddress[];
}

/**
 * Tells those who will call an actor where its process is before the actor is there, best before it is asked for: they
 * open their channel at leisure, and its first call finds it open. That such a word is lost costs only time.
 */
export class HostAnnouncements {
  private readonly options: HostAnnouncementsOptions;

  constructor(options: HostAnnouncementsOptions) {
    this.options = options;
  }

  /** The host starts what `ownerId` has asked for. */
  starting(ownerId: ProcessId, host: ProcessAddress): void {
    this.tell(ownerId, host);
  }

  /** The host waits for an actor: whose, nobody knows. */
  ready(host: ProcessAddress): void {
    const drivers = this.options.drivers();
    if (drivers.length > DRIVERS_TOLD_MAX) return;
    for (const driver of drivers) this.tell(driver, host);
  }

  linked(driver: ProcessId): void {
    if (this.options.drivers().length > DRIVERS_TOLD_MAX) return;
    for (const host of this.options.readyHosts()) this.tell(driver, host);
  }

  private tell(processId: ProcessId, host: ProcessAddress): void {
    const { transport, subjects } = this.options;
    if (transport.status !== 'connected') return;
    transport.publish(subjects.processUpdates(processId), encodeControl({ updates: [], host }));
  }
}
