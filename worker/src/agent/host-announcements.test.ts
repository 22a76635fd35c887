import type { ProcessId } from '@manta/runtime/ids';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import { ActorUpdates, type ProcessAddress } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { HostAnnouncements } from './host-announcements.ts';

const processIdOf = (digit: number): ProcessId => `p_000000000000000${digit}` as ProcessId;
const hostOf = (digit: number): ProcessAddress => ({
  processId: processIdOf(digit),
  nodeId: undefined,
  machineId: 'here',
  socketPath: `/run/${digit}.sock`,
  tcp: undefined,
});

function announcementsTo(drivers: ProcessId[], readyHosts: ProcessAddress[] = []) {
  const told: string[] = [];
  const transport = { status: 'connected' as 'connected' | 'reconnecting', publish };
  function publish(subject: string, payload: Uint8Array): void {
    const { host, updates } = decodeControl(ActorUpdates, payload);
    told.push(`${subject}: ${host?.socketPath}, ${updates.length} updates`);
  }
  const announcements = new HostAnnouncements({
    transport,
    subjects: { processUpdates: (processId) => processId.slice(-1) },
    drivers: () => drivers,
    readyHosts: () => readyHosts,
  });
  return { announcements, told, transport };
}

describe('hosts are announced', () => {
  it('to who asked for what they start', () => {
    const { announcements, told } = announcementsTo([]);
    announcements.starting(processIdOf(7), hostOf(1));
    expect(told).toEqual(['7: /run/1.sock, 0 updates']);
  });

  it('when they are ready, to the drivers of the machine', () => {
    const { announcements, told } = announcementsTo([processIdOf(7), processIdOf(8)]);
    announcements.ready(hostOf(1));
    expect(told).toEqual(['7: /run/1.sock, 0 updates', '8: /run/1.sock, 0 updates']);
  });

  it('to a driver that comes later', () => {
    const { announcements, told } = announcementsTo([processIdOf(7)], [hostOf(1), hostOf(2)]);
    announcements.linked(processIdOf(7));
    expect(told).toEqual(['7: /run/1.sock, 0 updates', '7: /run/2.sock, 0 updates']);
  });

  it('to nobody where many drivers share the node, and not while the broker is away', () => {
    const many = announcementsTo([1, 2, 3, 4, 5].map(processIdOf), [hostOf(6)]);
    many.announcements.ready(hostOf(6));
    many.announcements.linked(processIdOf(5));
    expect(many.told).toEqual([]);
    const away = announcementsTo([processIdOf(7)]);
    away.transport.status = 'reconnecting';
    away.announcements.ready(hostOf(1));
    expect(away.told).toEqual([]);
  });
});
