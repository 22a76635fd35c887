import type { NatsConnection } from '@nats-io/transport-node';

/** The inner parts of the NATS client that hold a process alive; each may be missing in another version of it. */
interface ClientInternals {
  protocol?: {
    transport?: { socket?: { unref?(): void } };
    heartbeats?: { timer?: { unref?(): void }; _schedule?(): void };
  };
}

/**
 * Lets a process end while this connection is open: a program that forgets to close it ends when its work is done. The
 * client has no option for that. Requests under way still hold the process, by their timers; so does a connection that
 * is being restored.
 */
export function keepInBackground(connection: NatsConnection): void {
  const { protocol } = connection as unknown as ClientInternals;
  protocol?.transport?.socket?.unref?.();
  const heartbeats = protocol?.heartbeats;
  heartbeats?.timer?.unref?.();
  if (heartbeats?._schedule === undefined || Object.hasOwn(heartbeats, '_schedule')) return;
  const schedule = heartbeats._schedule.bind(heartbeats);
  heartbeats._schedule = () => {
    schedule();
    heartbeats.timer?.unref?.();
  };
}
